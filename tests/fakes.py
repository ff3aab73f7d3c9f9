# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Synthetic features and data sets in memory, for tests of models and training."""

from pathlib import Path

import numpy as np
import torch

from sertl.data.datadir import DataDir, Utterance
from sertl.data.dataset import UttDataset
from sertl.models.base import MODELS
from sertl.nn.frame_statistics import pool_frames

LABELS = ["ang", "hap", "neu"]


def build_model(name, spec, upstream, conf):
    """A model by name."""
    return MODELS.build(name, spec, upstream, conf=conf)


class FakeStore:
    """Features in memory with the interface of FeatsStore: frames around a mean per class."""

    pool = ()

    def __init__(self, utts, layers=2, size=6, spread=1.0):
        rng = np.random.default_rng(0)
        means = {label: rng.normal(size=size) for label in LABELS}
        self.num_frames = {u.utt: int(rng.integers(3, 12)) for u in utts}
        self._arrays = {
            u.utt: (
                means[u.emo] + spread * rng.normal(size=(layers, self.num_frames[u.utt], size))
            ).astype(np.float32)
            for u in utts
        }

    def check(self, utts):
        assert set(utts) <= self.num_frames.keys()

    def gib(self, utts, hidden_size):
        return 0.0

    def read(self, utt):
        return self._arrays[utt]


class FakeVectors(FakeStore):
    """The same, pooled once."""

    pool = ("mean", "std")

    def in_order(self, utts):
        return sorted(utts, reverse=True)

    def read_vectors(self, utt, statistics):
        return pool_frames(torch.from_numpy(self._arrays[utt]), statistics).numpy()


def fake_dataset(number=24, layers=2, size=6, spread=1.0, kind=FakeStore, **options):
    """A data set of number utterances of 3 classes, 4 speakers, with V/A/D."""
    utts = {}
    for i in range(number):
        spk = f"s{i % 4}"
        utts[f"{spk}-u{i:03d}"] = Utterance(
            f"{spk}-u{i:03d}", spk, "none.wav", 1.0 + i % 5, emo=LABELS[i % 3],
            gender="fm"[i % 2], vad=(1.0 + i % 3, 2.0, 4.0 - i % 3),
        )  # fmt: skip
    data = DataDir(Path("fake"), dict(sorted(utts.items())), LABELS, (1.0, 5.0))
    store = kind(data.utts.values(), layers, size, spread)
    return UttDataset(data, {"emo": LABELS}, feats=store, **options)
