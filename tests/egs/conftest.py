# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Import the scripts of a recipe's local/ folder, and make audio files."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

EGS = Path(__file__).resolve().parents[2] / "egs"


@pytest.fixture
def local(monkeypatch):
    """A function: the module egs/<recipe>/local/<name>.py (recipes share module names)."""

    def load(recipe, name):
        monkeypatch.syspath_prepend(str(EGS / recipe / "local"))
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    return load


@pytest.fixture
def write_wav():
    """A function: write a tone of 0.1 s; each file other samples, so none counts as a copy."""
    count = iter(range(10**6))

    def write(path, rate=16000, channels=1):
        path.parent.mkdir(parents=True, exist_ok=True)
        phase = 2 * np.pi * (200 + next(count)) / rate * np.arange(rate // 10)
        wav = np.repeat(0.3 * np.sin(phase)[:, None], channels, axis=1)
        soundfile.write(path, wav, rate, format="FLAC" if path.suffix == ".flac" else "WAV")

    return write
