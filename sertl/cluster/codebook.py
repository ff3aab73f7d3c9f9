# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A learned codebook as files: centroids.npy, and codebook.json with what it was learned from."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sertl.atomic import replacing, write_json
from sertl.errors import SertlError
from sertl.fingerprint import ids_hash
from sertl.run_file import read_run_json
from sertl.schema.run_records import CodebookFile

REMEDY = "no codebook there, or a damaged one: run learn_kmeans, stage 5 for a run"


@dataclass
class Codebook:
    """K centroids and where they come from.

    Attributes:
        centroids: (K, D) float32. With `per_gender` the first half is of female frames, the second
            of male ones.
        info: JSON-serialisable: `ids` (number and hash of the utterances it was learned from),
            `per_gender`, `frames`, `inertia`, `dead`, `seed` and further facts.
    """

    centroids: np.ndarray
    info: dict

    def part(self, gender: str | None) -> slice:
        """Centroids that an utterance may get: all, or its gender's half where it is known."""
        whole = len(self.centroids)
        if not self.info["per_gender"] or gender is None:
            return slice(0, whole)
        return slice(0, whole // 2) if gender == "f" else slice(whole // 2, whole)

    def check_ids(self, utts: Iterable[str], where: str) -> None:
        """Refuse to be used in a fold other than the one it was learned in.

        Args:
            utts: The fold's training ids.
            where: Named in the error.

        Raises:
            SertlError: If it was learned from other ids.
        """
        utts = list(utts)
        known, asked = self.info["ids"], ids_hash(utts)
        if known["hash"] != asked:
            raise SertlError(
                f"{where}: this codebook was learned from {known['n']} utterances "
                f"(hash {known['hash']}), the training set at hand has {len(utts)} (hash {asked}). "
                "It belongs to another fold, whose training set may hold this fold's test "
                "speakers; learn one from this fold's training set"
            )


def save_codebook(folder: str | os.PathLike, codebook: Codebook) -> None:
    """Write centroids.npy and codebook.json, which is there only beside its own centroids."""
    folder = Path(folder)
    (folder / "codebook.json").unlink(missing_ok=True)
    with replacing(folder / "centroids.npy") as temporary, open(temporary, "wb") as stream:
        np.save(stream, codebook.centroids.astype(np.float32), allow_pickle=False)
    write_json(folder / "codebook.json", codebook.info)


def load_codebook(folder: str | os.PathLike) -> Codebook:
    """Read a codebook.

    Raises:
        SertlError: If a file is missing or damaged.
    """
    folder = Path(folder)
    info = read_run_json(folder / "codebook.json", CodebookFile, REMEDY)
    try:
        centroids = np.load(folder / "centroids.npy", allow_pickle=False)
    except FileNotFoundError as error:
        raise SertlError(f"{error.filename}: no codebook there; run learn_kmeans first") from error
    except (ValueError, EOFError) as error:
        raise SertlError(f"{folder}: damaged codebook ({error}); learn it anew") from error
    if centroids.shape != (info["clusters"], info["size"]):
        raise SertlError(
            f"{folder}: damaged codebook (centroids of shape {centroids.shape}, not "
            f"{(info['clusters'], info['size'])}); learn it anew"
        )
    return Codebook(centroids, info)
