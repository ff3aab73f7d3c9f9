# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Layer mix: uniform start, one-hot, gradient."""

import pytest
import torch

from sertl.nn.layer_mix import LayerMix


def layers(n=3):
    torch.manual_seed(0)
    return torch.stack([torch.randn(2, 4, 5) * (i + 1) for i in range(n)], dim=1)


def test_starts_as_the_average():
    hidden = layers()
    mix = LayerMix(3)
    assert mix.weights().sum().item() == pytest.approx(1.0)
    torch.testing.assert_close(mix(hidden), hidden.sum(1) / 3)


def test_one_hot_gives_that_layer():
    hidden = layers()
    mix = LayerMix(3)
    with torch.no_grad():
        mix.scores.copy_(torch.tensor([0.0, 100.0, 0.0]))
    torch.testing.assert_close(mix(hidden), hidden[:, 1])


def test_scores_get_gradient_and_a_single_layer_has_none_to_learn():
    mix = LayerMix(3)
    mix(layers()).square().sum().backward()
    assert mix.scores.grad.abs().min() > 0
    assert not list(LayerMix(1).parameters())


def test_wrong_number_of_layers():
    with pytest.raises(ValueError, match="got 2 layers, built for 3"):
        LayerMix(3)(layers(2))
