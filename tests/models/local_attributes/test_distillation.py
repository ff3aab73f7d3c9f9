# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Instance norm and both distillations by hand: values, centring, temperatures, gradient."""

import math

import pytest
import torch

from sertl.models.local_attributes.distillation import RegressFrames, SoftAttributes
from sertl.models.local_attributes.target_norms import frame_norm, instance_norm


def test_instance_norm_by_hand():
    """1 and 3: mean 2, variance 1. The padding (99) counts for nothing and comes out zero."""
    frames = torch.tensor([[[1.0], [3.0], [99.0]], [[5.0], [99.0], [99.0]]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    unit = 1 / math.sqrt(1 + 1e-5)
    got = instance_norm(frames, mask)
    assert got[0].flatten().tolist() == pytest.approx([-unit, unit, 0.0])
    assert got[1].flatten().tolist() == [0.0, 0.0, 0.0]


def test_frame_norm_keeps_what_sets_utterances_apart():
    """1 and 3 over dimensions: -1 and 1; instance norm would leave nothing of a constant."""
    frames = torch.tensor([[[1.0, 3.0], [1.0, 3.0], [9.0, 99.0]]])
    mask = torch.tensor([[True, True, False]])
    unit = 1 / math.sqrt(1 + 1e-5)
    got = frame_norm(frames, mask)
    assert got[0, :2].flatten().tolist() == pytest.approx([-unit, unit, -unit, unit])
    assert got[0, 2].tolist() == [0.0, 0.0]
    assert instance_norm(frames, mask)[0, :2].abs().max() == 0.0


def test_regression_by_hand():
    """Smooth L1 of 0.5 is 0.125, of 3 is 2.5, of 0 is 0: together 2.625 over 4 numbers."""
    model = RegressFrames(2)
    with torch.no_grad():
        model.student_head.weight.copy_(torch.eye(2))
        model.student_head.bias.zero_()
    student = torch.tensor([[0.5, 3.0], [1.0, -1.0]], requires_grad=True)
    target = torch.tensor([[0.0, 0.0], [1.0, -1.0]])
    loss = model(student, target, target, 0.0)
    assert loss.item() == pytest.approx(2.625 / 4)
    loss.backward()
    assert student.grad[1].tolist() == [0.0, 0.0]
    assert model(student[:0], target[:0], target[:0], 0.0).item() == 0.0


def soft():
    model = SoftAttributes(1, 2)
    with torch.no_grad():
        for head in (model.student_head, model.teacher_head):
            head.weight.zero_()
            head.bias.zero_()
    return model


def test_soft_attributes_by_hand():
    """q = (1/2, 1/2); p = softmax(0.1 ln 3 / 0.1, 0) = (3/4, 1/4)."""
    model = soft()
    with torch.no_grad():
        model.student_head.bias.copy_(torch.tensor([0.1 * math.log(3), 0.0]))
    frames = torch.ones(3, 1)
    loss = model(frames, frames, frames, 0.0)
    assert loss.item() == pytest.approx(-0.5 * (math.log(0.75) + math.log(0.25)))
    loss.backward()
    assert model.student_head.bias.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in model.teacher_head.parameters())
    assert model(frames[:0], frames[:0], frames[:0], 0.0).item() == 0.0


def test_teacher_is_centred_and_sharpened():
    """Scores 1 and 3, centre 0.5 and 2.5, tau 0.04: centred they are equal, so q = (1/2, 1/2)."""
    model = soft()
    with torch.no_grad():
        model.teacher_head.bias.copy_(torch.tensor([1.0, 3.0]))
        model.centre.copy_(torch.tensor([0.5, 2.5]))
    frames = torch.ones(2, 1)
    assert model(frames, frames, frames, 0.0).item() == pytest.approx(math.log(2))
    model.after_step(momentum=1.0)
    # 0.9 * 0.5 + 0.1 * 1 and 0.9 * 2.5 + 0.1 * 3
    assert model.centre.tolist() == pytest.approx([0.55, 2.55])
    with torch.no_grad():
        model.centre.copy_(torch.tensor([1.0 - 0.04 * math.log(3), 3.0]))
        model.student_head.bias.copy_(torch.tensor([0.1, 0.0]))
    # q = (3/4, 1/4); p = softmax(1, 0)
    expected = math.log(1 + math.e) - 0.75
    assert model(frames, frames, frames, 0.0).item() == pytest.approx(expected, abs=1e-5)


def test_teacher_head_follows_and_evaluation_moves_no_centre():
    model = soft()
    with torch.no_grad():
        model.student_head.bias.fill_(1.0)
    model.after_step(momentum=0.75)
    assert model.teacher_head.bias.tolist() == [0.25, 0.25]
    model.eval()
    model(torch.ones(2, 1), torch.ones(2, 1), torch.ones(2, 1), 0.0)
    model.after_step(momentum=0.75)
    assert model.centre.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, 0.04), (0.15, 0.055), (0.3, 0.07), (1.0, 0.07)]
)
def test_teacher_temperature(progress, expected):
    assert SoftAttributes(1, 2).teacher_temperature(progress) == pytest.approx(expected)
