# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Frame pseudo-labels of stage 5, read by utterance."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sertl.data.ark import read_array, read_scp
from sertl.errors import SertlError
from sertl.fingerprint import ids_hash, require_done
from sertl.run_file import read_run_json, understanding
from sertl.schema.run_records import LabelsFile


@dataclass(frozen=True)
class LabelSet:
    """One clustering: a layer, a number of clusters K, and whose layer it is.

    Attributes:
        source: teacher, or released: the encoder as it was before any training.
    """

    layer: int
    clusters: int
    source: str = "teacher"

    @property
    def name(self) -> str:
        """Folder of its codebook and labels."""
        whose = "" if self.source == "teacher" else f"{self.source}_"
        return f"{whose}layer{self.layer}_k{self.clusters}"


class FrameLabels:
    """All label sets of one fold and seed.

    Args:
        folder: `…/fold<k>/pseudo_labels`, finished.

    Attributes:
        sets: S label sets in the order of the rows.
        stride: Samples per frame.
        clustered: Number and hash of the ids whose frames were clustered.
        inputs: Fingerprint of the folder.

    Raises:
        SertlError: If the folder is missing or unfinished.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.inputs = require_done(self.folder, "stage 5 (pseudo_labels)")
        path, remedy = self.folder / "run.json", "run stage 5 with --redo"
        facts = read_run_json(path, LabelsFile, remedy)
        with understanding(path, remedy):
            self.sets = [LabelSet(**s) for s in facts["label_sets"]]
            self.stride = facts["stride"]
            self.clustered = facts["seen_ids"]["clustering"]
        self._scp = [specs_of_labels(self.folder / s.name) for s in self.sets]

    def check(self, utts: Sequence[str]) -> None:
        """Raise SertlError naming the utterances without labels."""
        missing = [utt for utt in utts if any(utt not in scp for scp in self._scp)]
        if missing:
            raise SertlError(
                f"{self.folder} lacks labels of {len(missing)} of {len(utts)} utterances, e.g. "
                f"{missing[:3]}; stage 5 labels the fold's training and dev set"
            )

    def check_clustered(self, utts: Iterable[str]) -> None:
        """Refuse labels that were learned from other ids than a fold's training set.

        Raises:
            SertlError: If they were.
        """
        utts = list(utts)
        if self.clustered["hash"] != ids_hash(utts):
            raise SertlError(
                f"{self.folder}: the codebooks were learned from {self.clustered['n']} utterances "
                f"(hash {self.clustered['hash']}), not from the {len(utts)} of this fold's "
                f"training set (hash {ids_hash(utts)}); run stage 5 for this fold"
            )

    def read(self, utt: str) -> np.ndarray:
        """(S, T) int32.

        Raises:
            SertlError: If label sets disagree on the number of frames.
        """
        rows = [read_array(scp[utt], utt) for scp in self._scp]
        if len({len(row) for row in rows}) > 1:
            raise SertlError(
                f"{self.folder}: label sets of {utt} have {[len(r) for r in rows]} frames; redo "
                "stage 5"
            )
        return np.stack(rows)


def specs_of_labels(folder: Path) -> dict[str, str]:
    """Utterance -> labels in labels.ark beside the scp: its folder may have been copied."""
    scp, ark = read_scp(folder / "labels.scp"), folder / "labels.ark"
    return {utt: f"{ark}:{spec.rpartition(':')[2]}" for utt, spec in scp.items()}
