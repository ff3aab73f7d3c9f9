# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The module that is exported says what the predictor says: every kind of head, none padded."""

import numpy as np
import pytest
import torch
from random_models import MODELS_OF_FRAMES, random_model
from trained_tiny import SHORT, experiment

from sertl.export.graph import Graph
from sertl.use.predictor import Predictor

WHOLE = [*SHORT, "data_conf.crop_sec=0.0"]
METHODS = {
    "linear": ["model_conf.refit=false"],
    "sap": SHORT,
    "peft": WHOLE,
    "peft/prefix": WHOLE,
    "two_stage/all_ser": WHOLE,
    "wap": ["optim_conf.epochs=1"],
}
NORMS = ["none", "online"]


def same(predictor):
    """Compare graph and predictor on clips of noise, and that the predictor is as it was."""
    graph = Graph(predictor).eval()
    for count, samples in ((1, 16000), (3, 9999)):
        rng = np.random.default_rng(samples)
        wavs = [0.1 * rng.standard_normal(samples).astype(np.float32) for _ in range(count)]
        with torch.no_grad():
            out = dict(zip(graph.outputs, graph(torch.tensor(np.stack(wavs))), strict=True))
        for row, one in enumerate(predictor.predict(wavs, remember=False)):
            for field, probs in one.probs.items():
                assert out[field][row].tolist() == pytest.approx(list(probs.values()), abs=1e-4)
            if one.vad:
                assert out["vad"][row].tolist() == pytest.approx(list(one.vad.values()), abs=1e-3)
    return graph


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("norm", NORMS)
def test_every_kind_of_head(corpus, tiny, tmp_path, method, norm):
    settings = [*METHODS[method], f"data_conf.speaker_norm.mode={norm}"]
    settings.append("data_conf.speaker_norm.scale=true")
    run = experiment(corpus, tiny, tmp_path / "exp", method, *settings)
    same(Predictor.load(run.folder))


@pytest.mark.parametrize("name", MODELS_OF_FRAMES)
def test_heads_of_every_model(tiny, phase_conf, name):
    graph = same(random_model(tiny, phase_conf, name))
    assert ("vad" in graph.outputs) == (name == "ratings")
    assert ("gender" in graph.outputs) == ("gender" in name)
