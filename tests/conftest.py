# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Shared fixtures: a phase's configuration, and where real data lie, if they are at hand."""

import os
from pathlib import Path

import pytest
import torch

from sertl.config import load_yaml

ROOT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def phase_conf():
    """A function: conf/train.yaml with changes to its sections."""

    def make(**changes):
        conf = load_yaml(ROOT / "conf/train.yaml")
        for key, value in changes.items():
            conf[key] = {**conf[key], **value} if isinstance(conf[key], dict) else value
        return conf

    return make


def shared(name):
    """Path of shared data or a model, or skip."""
    base = Path(os.environ.get("SERTL_SHARED", ROOT.parent / "shared"))
    path = base / name
    if not path.exists():
        pytest.skip(f"{name} is not at hand (looked in {base}; SERTL_SHARED names another folder)")
    return path


@pytest.fixture(scope="session")
def whisper_dir():
    return shared("models/whisper-tiny.en")


@pytest.fixture(scope="session")
def emodb_dir():
    return shared("data/emodb")


@pytest.fixture(scope="session")
def nemo_dir():
    return shared("data/nemo30")
