# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Contain what third-party code does beside its work while it imports and builds models."""

import logging
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def unlogged() -> Iterator[None]:
    """Hide warnings, and log lines below errors, of the code inside."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@contextmanager
def quiet() -> Iterator[None]:
    """Unlogged, and without loading bars: for code that builds encoders."""
    from transformers.utils import logging as hf_logging  # half a second that features do not need

    progress = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    try:
        with unlogged():
            yield
    finally:
        if progress:
            hf_logging.enable_progress_bar()


@contextmanager
def same_randomness() -> Iterator[None]:
    """Leave the random generators as they were: S3PRLUpstream seeds the global ones with 0.

    Not those of GPUs, which training may not have begun to use; it seeds them afterwards.
    """
    state = random.getstate()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(state)
