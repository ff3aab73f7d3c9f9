# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The pooled vectors of a fold, for questions about the frozen encoder that need no experiment."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from sertl.data.datadir import Utterance
from sertl.data.dataset import UttDataset
from sertl.data.feats import FeatsStore
from sertl.data.folds import FoldDir
from sertl.data.own_classes import head_names
from sertl.errors import SertlError
from sertl.solve.held_out import Target


@dataclass(frozen=True)
class Side:
    """One side of a fold.

    Attributes:
        utts: N utterances.
        vectors: (N, L, P).
        classes: (N,) emotions as indices.
    """

    utts: list[Utterance]
    vectors: torch.Tensor
    classes: torch.Tensor

    @property
    def spks(self) -> list[str]:
        """Speaker of each."""
        return [u.spk for u in self.utts]


@dataclass(frozen=True)
class FoldVectors:
    """A fold: what may be seen (train and dev), and what is tested."""

    number: int
    labels: list[str]
    seen: Side
    test: Side

    def target(self) -> Target:
        """The emotions of the seen side."""
        return Target.of_classes(self.seen.classes, self.labels)


def open_vectors(
    data: str | Path, dump: str | Path, statistics: Sequence[str], folds: Sequence[int] = ()
) -> tuple[list[int], list[FoldVectors]]:
    """Every fold's vectors, in all layers of a pooled dump.

    Args:
        data: Folder of the folds, as `data` or `data/<policy>`.
        dump: Made with --pool.
        statistics: Of the frames, as the dump has them.
        folds: Numbers; all if empty.

    Returns:
        Indices of the hidden states, and the folds.

    Raises:
        SertlError: No folds, or a dump of frames.
    """
    count = Path(data) / "num_folds"
    if not count.is_file():
        raise SertlError(f"{count}: no such file; run stage 2 (make_folds) first")
    store = FeatsStore(dump, FeatsStore(dump, []).inputs["layers"])
    if not store.pool:
        raise SertlError(f"{dump} holds frames; make vectors of them: ./run.sh --stage 3 --pool …")
    numbers = list(folds) or list(range(1, int(count.read_text()) + 1))
    return store.layers, [_open(FoldDir(Path(data), k), store, statistics) for k in numbers]


def _open(fold: FoldDir, store: FeatsStore, statistics: Sequence[str]) -> FoldVectors:
    train = fold.part("train")
    if head_names(train.labels):
        raise SertlError(f"{fold.path}: a head for each corpus; here one head has all classes")
    utts = {**train.utts, **(fold.part("dev").utts if fold.has("dev") else {})}
    seen = replace(train, utts=dict(sorted(utts.items())))
    sides = []
    for part in (seen, fold.part("test")):
        labelled = {utt: u for utt, u in part.utts.items() if u.emo is not None}
        rows = UttDataset(
            replace(part, utts=labelled), {"emo": train.labels}, store, statistics=statistics
        )
        sides.append(Side(rows.utts, rows.vectors, torch.tensor(rows.emo)))
    return FoldVectors(fold.number, train.labels, *sides)
