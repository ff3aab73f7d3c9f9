# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""IA3's factors, folded into a linear layer, against scaling what goes in or comes out."""

import torch
from torch import nn

from sertl.peft.derived_linear import derive
from sertl.peft.ia3 import Factors


def layer(inputs):
    torch.manual_seed(0)
    linear = nn.Linear(3, 2)
    derive(linear, "ia3", Factors(3 if inputs else 2, inputs))
    return linear, linear._parameters["weight"], linear._parameters["bias"]


def test_starts_at_one():
    for inputs in (True, False):
        linear, weight, bias = layer(inputs)
        assert torch.equal(linear.weight, weight) and torch.equal(linear.bias, bias)


def test_outputs_are_scaled_with_their_bias():
    linear, weight, bias = layer(inputs=False)
    x = torch.randn(4, 3)
    with torch.no_grad():
        linear.peft["ia3"].factor.copy_(torch.tensor([2.0, -1.0]))
    expected = (x @ weight.T + bias) * torch.tensor([2.0, -1.0])
    torch.testing.assert_close(linear(x), expected)


def test_inputs_are_scaled_and_the_bias_is_not():
    linear, weight, bias = layer(inputs=True)
    x, factor = torch.randn(4, 3), torch.tensor([2.0, 0.0, -1.0])
    with torch.no_grad():
        linear.peft["ia3"].factor.copy_(factor)
    torch.testing.assert_close(linear(x), (x * factor) @ weight.T + bias)


def test_a_layer_without_bias():
    linear = nn.Linear(3, 2, bias=False)
    derive(linear, "ia3", Factors(2, inputs=False))
    assert linear.bias is None and linear(torch.ones(3)).shape == (2,)
