# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What the tests of GMP-TL's models share beside fixtures."""

import torch
from torch.nn import functional as F

from sertl.data.batch import Batch
from sertl.models.base import Spec

LABELS, SIZE = ["ang", "hap", "neu", "sad"], 32
SPEC = Spec(
    labels=LABELS, hidden_size=SIZE, layers=[3], clusters=(8, 16), classes={"gender": ("f", "m")}
)
LENS = [30, 12, 25]  # frames


def make_batch(extra=0, rows=(0, 1, 2)):
    generator = torch.Generator().manual_seed(3)
    wav = torch.randn(3, 30 * 320, generator=generator) * 0.1
    labels = torch.randint(8, (3, 2, 30), generator=generator)
    for row, n in enumerate(LENS):
        wav[row, n * 320 :] = 0
        labels[row, :, n:] = -1
    rows = list(rows)
    longest = max(LENS[r] for r in rows) + extra
    batch = Batch(utt=[f"u{r}" for r in rows])
    batch.wav = F.pad(wav[rows], (0, 320 * extra), value=7.0)[:, : longest * 320]
    batch.wav_lens = torch.tensor([LENS[r] * 320 for r in rows])
    batch.pseudo = F.pad(labels[rows], (0, extra), value=-1)[:, :, :longest]
    batch.emo = torch.tensor([0, 1, 2])[rows]
    batch.gender = torch.tensor([0, 1, -1])[rows]
    return batch
