# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Poolings: values by hand, padding without effect, one frame, initialisation by seed."""

import math

import pytest
import torch

from sertl.nn.pooling import POOLINGS, MeanPooling, StatAttentivePooling, StatPooling, frame_mask


@pytest.mark.parametrize("name", POOLINGS.names())
def test_padding_has_no_effect_whatever_it_holds(name):
    torch.manual_seed(0)
    pooling = POOLINGS.build(name, 4)
    feats = torch.randn(2, 7, 4)
    lens = torch.tensor([7, 3])
    expected = torch.cat([pooling(feats[:1], lens[:1]), pooling(feats[1:, :3], lens[1:])])
    for noise in (0.0, 1e4, float("nan")):
        padded = torch.full((2, 12, 4), noise)
        padded[0, :7], padded[1, :3] = feats[0], feats[1, :3]
        torch.testing.assert_close(pooling(padded, lens), expected)


@pytest.mark.parametrize("name", POOLINGS.names())
def test_one_frame_is_finite_with_its_gradient(name):
    torch.manual_seed(0)
    pooling = POOLINGS.build(name, 4)
    feats = torch.randn(1, 1, 4, requires_grad=True)
    out = pooling(feats, torch.tensor([1]))
    assert out.shape == (1, pooling.output_size)
    out.sum().backward()
    assert out.isfinite().all() and feats.grad.isfinite().all()


@pytest.mark.parametrize("name", ["stat", "self_attentive", "stat_attentive"])
def test_statistics_keep_their_digits_under_autocast(name):
    torch.manual_seed(0)
    pooling = POOLINGS.build(name, 4)
    feats, lens = 200.0 + torch.randn(2, 50, 4), torch.tensor([50, 30])
    with torch.no_grad():
        for layer in getattr(pooling, "attention", []):
            for parameter in layer.parameters():
                parameter.zero_()  # equal weights, also in bf16
        expected = pooling(feats, lens)
        with torch.autocast("cpu", torch.bfloat16):
            found = pooling(feats, lens)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", POOLINGS.names())
def test_same_seed_same_weights(name):
    torch.manual_seed(3)
    first = POOLINGS.build(name, 4)
    torch.manual_seed(3)
    second = POOLINGS.build(name, 4)
    feats, lens = torch.randn(2, 5, 4), torch.tensor([5, 4])
    assert torch.equal(first(feats, lens), second(feats, lens))


def test_mean_and_std_by_hand():
    feats = torch.tensor([[[1.0], [3.0], [99.0]]])
    lens = torch.tensor([2])
    assert MeanPooling(1)(feats, lens).item() == pytest.approx(2.0)
    # mean 2, population variance ((1 - 2)^2 + (3 - 2)^2) / 2 = 1
    assert StatPooling(1)(feats, lens).flatten().tolist() == pytest.approx([2.0, 1.0])


def test_stat_attentive_by_hand():
    pooling = StatAttentivePooling(1, attention_size=1)
    with torch.no_grad():
        pooling.attention[0].weight.fill_(1.0)
        pooling.attention[0].bias.fill_(0.0)
        pooling.attention[2].weight.fill_(1.0)
    out = pooling(torch.tensor([[[0.0], [1.0]]]), torch.tensor([2]))
    # scores tanh(0) = 0 and tanh(1) = 0.761594; the second weighs a = e^0.761594 / (1 + e^0.761594)
    a = math.exp(math.tanh(1)) / (1 + math.exp(math.tanh(1)))
    assert out.flatten().tolist() == pytest.approx([a, math.sqrt(a * (1 - a))], rel=1e-5)


def test_lengths_outside_the_tensor_are_refused():
    for lens in ([0, 2], [3, 1]):
        with pytest.raises(ValueError, match="outside 1..2"):
            frame_mask(torch.tensor(lens), 2)
