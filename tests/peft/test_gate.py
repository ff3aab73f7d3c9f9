# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Weight gating: start values and values by hand."""

import pytest
import torch

from sertl.peft.gate import Gate


def test_start():
    x = torch.randn(2, 3, 4)
    assert torch.equal(Gate(4, "identity")(x), x)
    # sigmoid(1) = 1 / (1 + e^-1) = 0.731059
    torch.testing.assert_close(Gate(4, "ones")(x), x * 0.731059, rtol=1e-5, atol=1e-6)


def test_by_hand():
    gate = Gate(3, "identity")
    with torch.no_grad():  # sigmoid(ln 3) = 3 / 4
        gate.gate.copy_(torch.tensor([0.0, 3.0, 1 / 3]).log())
    expected = torch.tensor([0.0, 1.5, 0.5])
    torch.testing.assert_close(gate(torch.ones(3)), expected)


def test_one_value_per_dimension_with_gradient():
    gate = Gate(5, "ones")
    gate(torch.ones(2, 5)).sum().backward()
    assert gate.gate.shape == (5,) and gate.gate.grad.min() > 0


def test_unknown_init():
    with pytest.raises(ValueError, match="init is 'auto', expected one of"):
        Gate(5, "auto")
