# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Bottleneck adapter: identity at the start, values by hand, refusals."""

import pytest
import torch

from sertl.peft.adapter import Bottleneck


def test_starts_as_the_identity_with_gradient():
    torch.manual_seed(0)
    adapter, x = Bottleneck(6, 4), torch.randn(2, 3, 6)
    assert torch.equal(adapter(x), x)
    adapter(x).square().sum().backward()
    assert adapter.up.weight.grad.abs().sum() > 0 and adapter.up.bias.grad.abs().sum() > 0


def test_by_hand():
    adapter = Bottleneck(2, 2)
    with torch.no_grad():
        adapter.down.weight.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
        adapter.down.bias.copy_(torch.tensor([0.0, -3.0]))
        adapter.up.weight.copy_(torch.tensor([[2.0, 5.0], [0.5, 5.0]]))
        adapter.up.bias.copy_(torch.tensor([0.0, 10.0]))
    # x = (1, 2): hidden (3, -4) -> ReLU (3, 0); up (6, 1.5 + 10); plus x
    assert adapter(torch.tensor([1.0, 2.0])).tolist() == [7.0, 13.5]


def test_normed_input_by_hand():
    adapter = Bottleneck(2, 1, norm=True)
    with torch.no_grad():
        adapter.down.weight.copy_(torch.tensor([[2.0, 1.0]]))
        adapter.down.bias.zero_()
        adapter.up.weight.copy_(torch.tensor([[1.0], [-1.0]]))
    # x = (300, 100) reads as (1, -1): hidden 1, whatever the scale of x
    torch.testing.assert_close(adapter(torch.tensor([300.0, 100.0])), torch.tensor([301.0, 99.0]))
    torch.testing.assert_close(adapter(torch.tensor([30.0, 10.0])), torch.tensor([31.0, 9.0]))


def test_parameters():
    # D = 768, m = 64: 2 * 768 * 64 + 64 + 768, the 1,189,632 / 12 of the paper's table
    count = sum(p.numel() for p in Bottleneck(768, 64).parameters())
    assert count == 99136 and count * 12 == 1189632
    assert sum(p.numel() for p in Bottleneck(768, 64, norm=True).parameters()) == count


@pytest.mark.parametrize("width", [0, -1, 2.5, "64", True])
def test_width_must_be_a_positive_number(width):
    with pytest.raises(ValueError, match="width is"):
        Bottleneck(4, width)
