# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Attention by torch's fused function: written out, with each kind of mask, under autocast."""

import pytest
import torch
from torch.nn import functional as F

from sertl.nn.dot_product import dot_product_attention


def written_out(query, key, value, mask):
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    if mask is not None:
        scores = (
            scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        )
    return scores.softmax(dim=-1) @ value


def drawn(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, 7, 4)
    parts = [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for _ in range(3)]
    keep = torch.ones(2, 1, 7, 7, dtype=torch.bool)
    keep[1, :, :, 5:] = False
    return parts, keep


def masks(keep):
    bias = torch.linspace(-1, 1, 49).view(1, 1, 7, 7).expand(2, 3, 7, 7)
    return {"none": None, "bool": keep, "added": bias.masked_fill(~keep, -torch.inf)}


@pytest.mark.parametrize("kind", ["none", "bool", "added"])
@pytest.mark.parametrize("autocast", [False, True])
def test_equals_the_formula_and_its_gradient(kind, autocast):
    parts, keep = drawn(torch.bfloat16 if autocast else torch.float32)
    mask = masks(keep)[kind]
    exact = [part.detach().double().requires_grad_() for part in parts]
    expected = written_out(*exact, mask)
    weight = torch.linspace(-1, 1, expected.numel()).view_as(expected)
    (expected * weight).sum().backward()
    if autocast and kind == "added":
        mask = mask.bfloat16()  # as what the encoder made of it under autocast
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found = dot_product_attention(*parts, mask)
    assert found.dtype == parts[0].dtype
    (found.double() * weight).sum().backward()
    tolerance = 0.01 if autocast else 1e-5
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)
    for part, other in zip(parts, exact, strict=True):
        torch.testing.assert_close(
            part.grad.double(), other.grad, rtol=tolerance, atol=4 * tolerance
        )


def test_training_under_autocast_on_a_cpu_is_computed_in_float32():
    parts, keep = drawn(torch.bfloat16)
    wide = F.scaled_dot_product_attention(*(part.float() for part in parts), keep)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(dot_product_attention(*parts, keep), wide.bfloat16())
        with torch.no_grad():  # nothing goes back: as the encoder's other products
            narrow = F.scaled_dot_product_attention(*parts, keep)
            assert torch.equal(dot_product_attention(*parts, keep), narrow)


def test_dropout_drops_weights():
    parts, _ = drawn()
    torch.manual_seed(0)
    dropped = dot_product_attention(*parts, None, 0.5)
    assert not torch.allclose(dropped, dot_product_attention(*parts))
