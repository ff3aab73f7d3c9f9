# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""LoRA on a layer whose weight others read: values by hand, scale, order of parts, folding."""

import copy

import pytest
import torch
from torch import nn

from sertl.peft.derived_linear import DerivedLinear, derive, fold
from sertl.peft.ia3 import Factors
from sertl.peft.lora import LoRA


def lora_layer(rank=2, alpha=2.0, size=6):
    torch.manual_seed(0)
    linear = nn.Linear(size, size)
    derive(linear, "lora", LoRA(size, size, rank, alpha))
    return linear


def set_off(linear, seed=1):
    torch.manual_seed(seed)
    with torch.no_grad():
        linear.peft["lora"].b.normal_()


def test_by_hand():
    lora = LoRA(2, 3, rank=1, alpha=0.5)
    with torch.no_grad():
        lora.a.copy_(torch.tensor([[1.0, 2.0]]))
        lora.b.copy_(torch.tensor([[2.0], [0.0], [4.0]]))
    # 0.5 / 1 * B A = [[1, 2], [0, 0], [2, 4]], added to a matrix of ones
    assert lora.on_weight(torch.ones(3, 2)).tolist() == [[2, 3], [1, 1], [3, 5]]


def test_starts_as_the_layer_and_only_the_weight_moves():
    linear = lora_layer()
    plain = linear._parameters["weight"]
    assert torch.equal(linear.weight, plain) and linear.peft["lora"].a.abs().sum() > 0
    set_off(linear)
    assert not torch.equal(linear.weight, plain)
    assert torch.equal(linear.bias, linear._parameters["bias"])


def test_alpha_1_equals_alpha_r_with_b_divided_by_r():
    first, second = lora_layer(rank=4, alpha=4), lora_layer(rank=4, alpha=1)
    assert (first.peft["lora"].scale, second.peft["lora"].scale) == (1.0, 0.25)
    set_off(first)
    second.peft["lora"].load_state_dict(first.peft["lora"].state_dict())
    assert not torch.allclose(first.weight, second.weight)
    with torch.no_grad():
        first.peft["lora"].b /= 4
    torch.testing.assert_close(first.weight, second.weight)


def test_who_reads_the_weight_gets_the_update():
    """As a fused attention does, which never calls the layer."""
    linear, x = lora_layer(), torch.randn(3, 6)
    set_off(linear)
    read = nn.functional.linear(x, linear.weight, linear.bias)
    lora = linear.peft["lora"]
    byhand = x @ (linear._parameters["weight"] + lora.b @ lora.a).T + linear.bias
    torch.testing.assert_close(read, byhand)
    assert torch.equal(linear(x), read)
    read.square().sum().backward()
    assert lora.a.grad.abs().sum() > 0 and lora.b.grad.abs().sum() > 0


def test_names_of_the_stored_tensors_do_not_change():
    linear, plain = lora_layer(), nn.Linear(6, 6)
    assert list(linear.state_dict()) == ["weight", "bias", "peft.lora.a", "peft.lora.b"]
    linear.load_state_dict(plain.state_dict(), strict=False)
    assert torch.equal(linear.weight, plain.weight)


def test_update_is_float32_under_autocast():
    linear = lora_layer()
    set_off(linear)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = linear.weight
        assert linear(torch.randn(2, 6)).dtype == torch.bfloat16
    assert torch.equal(inside, linear.weight)


def test_a_copy_is_independent():
    linear = lora_layer()
    twin = copy.deepcopy(linear)
    set_off(twin)
    assert not torch.equal(twin.weight, linear.weight)
    assert torch.equal(linear.weight, linear._parameters["weight"])


def test_folding_keeps_the_output_and_leaves_a_plain_layer():
    linear, x = lora_layer(), torch.randn(3, 6)
    set_off(linear)
    before = linear(x)
    fold(linear, "lora")
    assert type(linear) is nn.Linear and list(linear.state_dict()) == ["weight", "bias"]
    torch.testing.assert_close(linear(x), before)


def test_folding_below_another_part():
    linear, x = lora_layer(), torch.randn(3, 6)
    derive(linear, "ia3", Factors(6, inputs=False))
    set_off(linear)
    with torch.no_grad():
        linear.peft["ia3"].factor.uniform_(0.5, 2)
    before = linear(x)
    with pytest.raises(ValueError, match="not the first"):
        fold(linear, "ia3")
    fold(linear, "lora")
    assert type(linear) is DerivedLinear and list(linear.peft) == ["ia3"]
    torch.testing.assert_close(linear(x), before)


def test_refusals():
    for rank in (0, 7, 1.5, "8"):
        with pytest.raises(ValueError, match="rank is"):
            LoRA(6, 8, rank, 1.0)
    for alpha in (0, -1, "8", None, True):
        with pytest.raises(ValueError, match="alpha is"):
            LoRA(6, 8, 2, alpha)
    with pytest.raises(TypeError):
        LoRA(6, 8, 2)  # alpha has no default
    linear = lora_layer()
    with pytest.raises(ValueError, match="has a PEFT module 'lora' already"):
        derive(linear, "lora", LoRA(6, 6, 2, 2))
    with pytest.raises(ValueError, match="Bilinear is no plain linear layer"):
        derive(nn.Bilinear(2, 2, 2), "lora", LoRA(2, 2, 1, 1))


@pytest.mark.parametrize("autocast", [False, True])
def test_short_backward_pass_equals_the_plain_one(autocast):
    """Output and all gradients of the layer, called, against those by its weight."""
    linear, x = lora_layer(rank=3, alpha=6.0), torch.randn(2, 5, 6, requires_grad=True)
    set_off(linear)
    for name in ("weight", "bias"):
        linear._parameters[name].requires_grad_(False)
    found = []
    for call in (linear, lambda x: nn.functional.linear(x, linear.weight, linear.bias)):
        x.grad = None
        linear.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = call(x)
        (out.float() * torch.arange(6.0)).sum().backward()
        lora = linear.peft["lora"]
        found.append([out.float(), x.grad.clone(), lora.a.grad.clone(), lora.b.grad.clone()])
    tolerance = 0.05 if autocast else 1e-5
    for short, plain in zip(*found, strict=True):
        assert (short - plain).abs().max() <= tolerance * plain.abs().max()
    assert type(linear(x).grad_fn).__name__ == "MergedLinearBackward"


def test_the_stored_weight_trains_too_where_it_is_asked_to():
    linear, x = lora_layer(), torch.randn(3, 6)
    set_off(linear)
    linear(x).sum().backward()
    assert linear._parameters["weight"].grad.abs().sum() > 0


def test_dora_by_hand():
    """Rows of W + BA, (3, 4) and (0, 2), keep their directions and get the lengths 10 and 1."""
    lora = LoRA(2, 2, rank=1, alpha=1.0, dora=torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert lora.length.tolist() == [1.0, 1.0]
    with torch.no_grad():
        lora.length.copy_(torch.tensor([10.0, 1.0]))
        lora.a.copy_(torch.tensor([[1.0, 2.0]]))
        lora.b.copy_(torch.tensor([[2.0], [0.0]]))
    found = lora.on_weight(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    torch.testing.assert_close(found, torch.tensor([[6.0, 8.0], [0.0, 1.0]]))
