# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Losses: values by hand, against torch, missing labels, cutting a batch."""

import math

import pytest
import torch
from torch.nn import functional as F

from sertl.nn.losses import ccc_loss, cross_entropy, rmse

NAN = float("nan")


def test_cross_entropy_equals_torch_and_skips_missing():
    torch.manual_seed(0)
    logits, target = torch.randn(4, 3), torch.tensor([0, 2, 1, 2])
    value, weight = cross_entropy(logits, target)
    assert value.item() == pytest.approx(F.cross_entropy(logits, target).item())
    assert weight.item() == 4
    padded = torch.cat([logits, torch.randn(2, 3)])
    value2, weight2 = cross_entropy(padded, torch.cat([target, torch.tensor([-1, -1])]))
    assert (value2.item(), weight2.item()) == (pytest.approx(value.item()), 4)


def test_cross_entropy_class_weights_equal_torch():
    torch.manual_seed(0)
    logits, target = torch.randn(5, 3), torch.tensor([0, 2, 1, 2, 2])
    weights = torch.tensor([1.0, 2.0, 0.5])
    value, weight = cross_entropy(logits, target, weights)
    assert value.item() == pytest.approx(F.cross_entropy(logits, target, weights).item())
    assert weight.item() == pytest.approx(1 + 2 + 3 * 0.5)


def test_cutting_a_batch_changes_nothing():
    torch.manual_seed(0)
    logits, target = torch.randn(6, 3), torch.tensor([0, 1, -1, 2, 1, 0])
    weights = torch.tensor([1.0, 2.0, 0.5])
    whole, _ = cross_entropy(logits, target, weights)
    parts = [cross_entropy(logits[s], target[s], weights) for s in (slice(0, 2), slice(2, 6))]
    total = sum(v * w for v, w in parts) / sum(w for _, w in parts)
    assert total.item() == pytest.approx(whole.item())


def test_all_labels_missing_is_zero_not_nan():
    value, weight = cross_entropy(torch.randn(2, 3), torch.tensor([-1, -1]))
    assert (value.item(), weight.item()) == (0.0, 0.0)
    value, weight = rmse(torch.randn(2, 3), torch.full((2, 3), NAN))
    assert (value.item(), weight.item()) == (0.0, 0.0)


def test_rmse_by_hand():
    pred = torch.tensor([[1.0, 2.0], [3.0, 2.0], [9.0, 9.0]])
    target = torch.tensor([[1.0, 1.0], [1.0, 1.0], [NAN, NAN]])
    value, weight = rmse(pred, target)
    # first: sqrt((0 + 4) / 2) = 1.4142; second: sqrt((1 + 1) / 2) = 1; mean 1.2071
    assert value.item() == pytest.approx((math.sqrt(2) + 1) / 2, rel=1e-4)
    assert weight.item() == 2


def test_ccc_loss_by_hand_and_scale_free():
    pred, target = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[2.0], [3.0], [4.0]])
    # both variances and the covariance 2/3, means 1 apart: CCC (4/3) / (4/3 + 1) = 4/7
    assert ccc_loss(pred, target)[0].item() == pytest.approx(3 / 7, rel=1e-5)
    same = ccc_loss(10 * pred + 5, 10 * target + 5)[0].item()
    assert same == pytest.approx(3 / 7, rel=1e-5)


def test_perfect_predictions_have_finite_gradients():
    for loss in (rmse, ccc_loss):
        pred = torch.tensor([[1.0, 2.0], [3.0, 1.0]], requires_grad=True)
        loss(pred, pred.detach().clone())[0].backward()
        assert pred.grad.isfinite().all()
