# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A start on speakers that the encoder has learned keeps what was chosen while it knew none."""

import json
from pathlib import Path

import pytest
import torch
from fakes import LABELS, build_model, fake_dataset

from sertl.data.batching import ordered_batches
from sertl.data.datadir import DataDir
from sertl.models.base import Spec
from sertl.stages.earlier_choice import earlier_choice
from sertl.stages.training_data import save_ids
from sertl.train import checkpoint
from sertl.train.solved_start import solve_start

PART = {"combine": "best", "layers": [1], "columns": None, "strength": 0.003, "over": None}
CONF = {"combine": "concat", "pooling": "stat", "tasks": ("emo", "vad"), "hidden": 0}


@pytest.fixture
def data():
    return fake_dataset(60, spread=6.0)


def model_of(layers=(0, 1), pooling="stat"):
    spec = Spec(labels=LABELS, hidden_size=6, layers=[*layers], vad_range=(1.0, 5.0))
    torch.manual_seed(0)
    return build_model("probe", spec, None, {**CONF, "pooling": pooling}).eval()


def solved(model, data, chosen):
    order = ordered_batches(range(len(data)), data.durs_sec, 8, 1e9)
    with torch.no_grad():
        model.initialise(data.batch(i) for i in order)
    batches = (data.batch(i) for i in order)
    return solve_start(model, data, batches, torch.device("cpu"), chosen)


def test_what_was_chosen_before_is_solved_and_the_rest_chosen(data, caplog):
    free = solved(model_of(), data, {})
    assert free["emo"] != [PART], "nothing would be told by this"
    with caplog.at_level("INFO"):
        model = model_of()
        found = solved(model, data, {"emo": [PART]})
    assert found == {"emo": [PART], "vad": free["vad"]}
    assert "best of views 1, C 0.003 (as an earlier phase chose)" in caplog.text
    assert "training speakers out" in caplog.text  # of vad
    weight = model.heads["emo"].layers[0].weight  # of the layer that was chosen alone
    assert not weight[:, :12].any() and weight[:, 12:].any()


def test_of_whom_and_of_which_vectors_it_holds(data, tmp_path, caplog):
    speakers = DataDir(Path("fake"), {u.utt: u for u in data.utts}, LABELS, (1.0, 5.0))
    others = DataDir(Path("fake"), {}, LABELS, (1.0, 5.0))
    start, model = tmp_path / "phase1", model_of()
    start.mkdir()
    saved = {"model": {}, "spec": {"layers": [0, 1]}}
    checkpoint.save(start / "best.pt", saved)
    save_ids(start, speakers)
    assert earlier_choice(None, speakers, model) == {}
    assert earlier_choice(start, speakers, model) == {}  # began at random
    started = json.dumps({"shape": model.start_shape, "parts": {"emo": [PART]}})
    checkpoint.save(start / "best.pt", {**saved, "started": started})
    assert earlier_choice(start, speakers, model) == {"emo": [PART]}
    assert earlier_choice(start, others, model) == {}  # new to it: they can say themselves
    with caplog.at_level("INFO"):
        assert earlier_choice(start, speakers, model_of((1,))) == {}
        assert earlier_choice(start, speakers, model_of((0, 1), "mean")) == {}
    assert caplog.text.count("chosen anew") == 2
