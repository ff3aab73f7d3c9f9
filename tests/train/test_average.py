# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Averaged weights: values by hand, in place and out again."""

import pytest
import torch
from torch import nn

from sertl.train.average import WeightAverage


def step(model, value):
    with torch.no_grad():
        model.weight.fill_(value)


def test_values_by_hand():
    """From 0; decay min(0.5, 2/11) takes 9/11 of 11, min(0.5, 3/12) three quarters of 1."""
    model = nn.Linear(1, 1, bias=False)
    step(model, 0.0)
    average = WeightAverage(model, 0.5)
    step(model, 11.0)
    average.update(1)
    step(model, 1.0)
    average.update(2)
    with average.in_place():
        assert model.weight.item() == pytest.approx(0.25 * 9.0 + 0.75)
    assert model.weight.item() == 1.0


def test_frozen_weights_and_no_decay_are_left_alone():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    assert set(WeightAverage(model, 0.9).state()) == {"1.weight", "1.bias"}
    off = WeightAverage(model, 0.0)
    off.update(1)
    with off.in_place():
        assert off.state() == {}


def test_the_weights_come_back_after_an_error():
    model = nn.Linear(1, 1)
    average = WeightAverage(model, 0.9)
    step(model, 5.0)
    with pytest.raises(RuntimeError), average.in_place():
        assert model.weight.item() != 5.0
        raise RuntimeError
    assert model.weight.item() == 5.0
