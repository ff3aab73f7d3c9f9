# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Shared fixtures: a phase's configuration, and where real data lie, if they are at hand."""

import os
from pathlib import Path

import pytest
import torch
from awkward_clips import LENGTHS

from sertl.schema.strict import defaults
from sertl.schema.training_keys import Phase
from sertl.upstream.tiny import save_all

ROOT = Path(__file__).resolve().parents[1]

LONG = ("recipes", "campaign", "shell", "serve", "stages", "models", "peft")  # folders

torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Files of whole recipes and the like come first; a short file is the better last one."""

    def place(item):
        room = Path(item.fspath).relative_to(ROOT / "tests").parts[0]
        return LONG.index(room) if room in LONG else len(LONG)

    items.sort(key=place)


@pytest.fixture(scope="session")
def phase_conf():
    """A function: a phase of defaults with changes to its sections."""

    def make(**changes):
        conf = defaults(Phase)
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


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    from trained_tiny import noise_corpus

    return noise_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def trained(corpus, tiny, tmp_path_factory):
    """An experiment of `probe` with two seeds."""
    from trained_tiny import experiment

    exp = tmp_path_factory.mktemp("trained") / "exp"
    for seed in (1, 2):
        experiment(corpus, tiny, exp, "probe", "optim_conf.updates=2", seed=seed)
    return exp
