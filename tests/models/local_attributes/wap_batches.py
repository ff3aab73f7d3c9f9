# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A small local_attributes model and a batch for it."""

import torch
from fakes import LABELS, build_model

from sertl.data.batch import Batch
from sertl.models.base import Spec

SIZE = 6
SPEC = Spec(labels=LABELS, hidden_size=SIZE, layers=[0, 1])
ADAPTER = {"blocks": 2, "ffn": 8, "dropout": 0.0}
# Targets that hardly move, so that a batch can be learned by heart; and no k-means of nothing.
STILL = {"momentum": (0.999, 0.9999), "codebook": "noise"}
SMALL = {"wap": ADAPTER, "centroids": 5, "span": 3, **STILL}


def make(seed=0, **conf):
    torch.manual_seed(seed)
    return build_model("local_attributes", SPEC, None, {**SMALL, **conf}).train()


def make_batch(lens=(9, 5, 12), extra=0, noise=0.0):
    generator = torch.Generator().manual_seed(3)
    feats = noise * torch.randn(len(lens), 2, max(lens) + extra, SIZE)
    for row, n in zip(feats, lens, strict=True):
        row[:, :n] = torch.randn(2, n, SIZE, generator=generator)
    return Batch(utt=[f"u{n}" for n in lens], feats=feats, lens=torch.tensor(lens))
