# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Seeds: one number from the config decides every random choice of a run."""

import hashlib
import random

import numpy as np


def derive_seed(seed: int, *parts: object) -> int:
    """Return a 63-bit seed that depends on seed and parts alone (not on Python's hash salt).

    A derived seed per (epoch, utterance) makes a random choice independent of the order in which
    utterances are read, of the number of processes and of a resume.
    """
    text = "/".join(str(p) for p in (seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch; models are initialised from these global generators."""
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries that only know the global generator
    torch.manual_seed(seed)
