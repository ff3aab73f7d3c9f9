# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""EMA teacher: one update by hand, the momentum schedule, no gradient."""

import pytest
import torch
from torch import nn

from sertl.models.local_attributes.ema import ema_copy, ema_update, momenta_for, momentum_at


def test_copy_is_equal_apart_and_without_gradient():
    student = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    teacher = ema_copy(student)
    assert not teacher.training and student.training
    assert all(not p.requires_grad for p in teacher.parameters())
    assert all(p.requires_grad for p in student.parameters())
    assert torch.equal(teacher[0].weight, student[0].weight)
    with torch.no_grad():
        student[0].weight.zero_()
    assert teacher[0].weight.abs().sum() > 0


def test_one_update_by_hand():
    """0.9 * 1 + 0.1 * 2 = 1.1; then 0.5 * 1.1 + 0.5 * 2 = 1.55."""
    student = nn.Linear(1, 1)
    teacher = ema_copy(student)
    with torch.no_grad():
        teacher.weight.fill_(1.0)
        student.weight.fill_(2.0)
    ema_update(teacher, student, 0.9)
    assert teacher.weight.item() == pytest.approx(1.1)
    ema_update(teacher, student, 0.5)
    assert teacher.weight.item() == pytest.approx(1.55)
    assert student.weight.item() == 2.0 and teacher.weight.grad is None


@pytest.mark.parametrize(
    ("update", "total", "expected"),
    [(1, 101, 0.9), (51, 101, 0.95), (101, 101, 1.0), (1, 500, 0.9), (101, 500, 0.95)]
    + [(201, 500, 1.0), (400, 500, 1.0), (1, 1, 1.0)],
)
def test_momentum_rises_over_201_updates_or_all(update, total, expected):
    assert momentum_at(update, total, 0.9, 1.0, rise=201) == pytest.approx(expected)


@pytest.mark.parametrize("total", [50, 280, 5000])
def test_momentum_by_the_number_of_updates_forgets_the_start(total):
    """Of the teacher's first weights less than a thousandth is left, however short the training."""
    left = 1.0
    for update in range(1, total + 1):
        left *= momentum_at(update, total, *momenta_for(total), total)
    assert 0 < left < 1e-3 and 0.5 <= momenta_for(total)[0] < momenta_for(total)[1] < 1
