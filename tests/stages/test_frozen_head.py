# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A phase without labels is judged by a head solved on its frozen output."""

from types import SimpleNamespace

import pytest
import torch
from fakes import LABELS, build_model, fake_dataset

from sertl.models.base import Spec
from sertl.stages.frozen_head import FrozenHead

SPEC = Spec(labels=LABELS, hidden_size=6, layers=[0, 1])


class Fake(FrozenHead):
    """With sets in memory."""

    def __init__(self, spread):
        self.data_conf = {"batch_size": 8, "batch_sec": 1e9}
        self.labels = LABELS
        self.sets = [fake_dataset(60, spread=spread), fake_dataset(30, spread=spread)]


def test_tells_what_the_output_still_holds():
    torch.manual_seed(0)
    conf = {"wap": {"width": 4, "blocks": 1, "ffn": 8}, "centroids": 5}
    model = build_model("local_attributes", SPEC, None, conf)
    device = torch.device("cpu")
    easy = Fake(0.3).judge(model, device, None)
    assert easy["ua"] > 0.9 and easy["loss"] < 0.6
    with torch.no_grad():  # a teacher that says the same of everything
        for parameter in model.teacher.parameters():
            parameter.zero_()
    dead = Fake(0.3).judge(model, device, None)
    assert dead["ua"] == pytest.approx(1 / 3, abs=0.05) and dead["loss"] > 1.0


def test_vectors_of_the_frame_stage_are_those_of_the_encoder():
    class Encoder(torch.nn.Module):
        hidden_size, frozen = 6, True

        def mask_embedding(self):
            return None

    spec = Spec(labels=LABELS, hidden_size=6, layers=[0, 1], clusters=(4,))
    model = build_model("frame_prediction", spec, Encoder(), {})
    states = torch.randn(3, 2, 5, 6)
    model.hidden = lambda batch: (states, torch.tensor([5, 4, 5]))
    found = model.utterance_vectors(SimpleNamespace())
    assert found.shape == (3, 24)
    torch.testing.assert_close(found[1, :6], states[1, 0, :4].mean(0))
