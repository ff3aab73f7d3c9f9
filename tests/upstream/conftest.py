# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Tiny checkpoints of every family, made once, and a batch of clips of awkward lengths."""

import pytest
import torch
from awkward_clips import LENGTHS

from sertl.upstream.tiny import save_all


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    save_all(folder)
    return folder


@pytest.fixture(scope="session")
def clips():
    """A batch of noise whose padding is loud noise too: (7, 25000), (7,)."""
    generator = torch.Generator().manual_seed(1)
    wavs = torch.randn(len(LENGTHS), 25000, generator=generator) * 0.1
    for row, length in enumerate(LENGTHS):
        wavs[row, length:] *= 100
    return wavs, torch.tensor(LENGTHS)
