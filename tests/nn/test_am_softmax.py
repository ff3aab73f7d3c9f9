# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""AM-Softmax: by hand, against the formula of another library, margins, scales, weights."""

import math

import pytest
import torch
from torch.nn import functional as F

from sertl.nn.am_softmax import AMSoftmax, CosineHead, margin_at

TARGET = torch.tensor([0, 2, 1, 2, 0])


def head(classes=3, size=4, scale=10.0, seed=0):
    torch.manual_seed(seed)
    return CosineHead(size, classes, scale)


def am_softmax(logits, target, margin, scale, weights=None):
    return AMSoftmax(weights, scale, margin)(logits, target)


def vectors(number=5, size=4):
    return torch.randn(number, size, generator=torch.Generator().manual_seed(1))


def reference(features, weight, labels, margin, scale):
    """The loss as in CosFaceLoss of pytorch-metric-learning, re-derived.

    There, logits are cosines; the margin is taken off at the one-hot positions, the result is
    multiplied by the scale and goes to the plain cross-entropy.
    """
    cosine = F.normalize(features, p=2, dim=1) @ F.normalize(weight.t(), p=2, dim=0)
    mask = torch.zeros_like(cosine)
    mask[torch.arange(len(labels)), labels] = 1
    modified = cosine[mask == 1] - margin
    diff = (modified - cosine[mask == 1]).unsqueeze(1)
    return F.cross_entropy((cosine + mask * diff) * scale, labels)


def test_three_classes_by_hand():
    """f along the first axis, class rows at 0, 90 and 60 degrees: cosines 1, 0, 0.5.

    s = 2, m = 0.25, true class 0: logits 2 * 0.75, 0, 1.
    """
    layer = head(3, 2, scale=2.0)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 0.5], [1.0, math.sqrt(3.0)]]))
    logits = layer(torch.tensor([[7.0, 0.0]]))
    assert logits[0].tolist() == pytest.approx([2.0, 0.0, 1.0], abs=1e-6)
    loss, weight = am_softmax(logits, torch.tensor([0]), margin=0.25, scale=2.0)
    expected = -math.log(math.exp(1.5) / (math.exp(1.5) + math.exp(0.0) + math.exp(1.0)))
    assert loss.item() == pytest.approx(expected, abs=1e-6) and weight.item() == 1.0


@pytest.mark.parametrize(("margin", "scale"), [(0.0, 1.0), (0.2, 30.0), (0.35, 64.0), (0.3, 15.0)])
def test_equals_the_reference_with_its_gradient(margin, scale):
    layer = head(scale=scale)
    ours, theirs = vectors().requires_grad_(True), vectors().requires_grad_(True)
    loss, _ = am_softmax(layer(ours), TARGET, margin, scale)
    expected = reference(theirs, layer.weight, TARGET, margin, scale)
    torch.testing.assert_close(loss, expected)
    first = torch.autograd.grad(loss, [ours, layer.weight])
    second = torch.autograd.grad(expected, [theirs, layer.weight])
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_no_margin_is_cross_entropy_and_margin_raises_the_loss():
    layer = head()
    logits = layer(vectors())
    losses = [am_softmax(logits, TARGET, m, 10.0)[0].item() for m in (0.0, 0.1, 0.2, 0.4, 1.0)]
    assert losses[0] == pytest.approx(F.cross_entropy(logits, TARGET).item())
    assert losses == sorted(losses) and losses[0] < losses[-1]


def test_lengths_do_not_matter():
    layer = head()
    logits = layer(vectors())
    torch.testing.assert_close(
        layer(vectors() * torch.tensor([[5.0], [0.1], [9.0], [1.0], [3.0]])), logits
    )
    with torch.no_grad():
        layer.weight.mul_(torch.tensor([[7.0], [0.2], [3.0]]))
    torch.testing.assert_close(layer(vectors()), logits)
    assert logits.abs().max() <= 10.0


def test_missing_labels_and_class_weights():
    layer, weights = head(), [2.0, 0.5, 1.0]
    logits = layer(vectors())
    target = torch.tensor([0, -1, 1, 2, -1])
    loss, weight = am_softmax(logits, target, 0.2, 10.0, weights)
    kept = [0, 2, 3]
    shifted = logits - 2.0 * F.one_hot(target.clamp_min(0), 3)
    assert weight.item() == 3.5
    torch.testing.assert_close(
        loss, F.cross_entropy(shifted[kept], target[kept], weight=torch.tensor(weights))
    )
    empty, none = am_softmax(logits, torch.full((5,), -1), 0.2, 10.0)
    assert empty.item() == 0.0 and none.item() == 0.0


def test_a_zero_vector_and_bf16():
    layer = head()
    zero = torch.zeros(1, 4, requires_grad=True)
    am_softmax(layer(zero), torch.tensor([0]), 0.2, 10.0)[0].backward()
    assert zero.grad.isfinite().all()
    with torch.autocast("cpu", torch.bfloat16):
        low = layer(vectors())
    torch.testing.assert_close(low, layer(vectors()))  # cosines stay in float32
    with pytest.raises(ValueError, match="scale must be above 0, got 0"):
        CosineHead(4, 3, 0.0)


def test_margin_warms_up():
    """Of 100 updates 20 are warm-up: the eleventh has half of the margin."""
    values = [margin_at(u, 100, 0.4, 0.2) for u in (0, 10, 20, 99)]
    assert values == pytest.approx([0.0, 0.2, 0.4, 0.4])
    assert margin_at(0, 100, 0.4, 0.0) == 0.4
