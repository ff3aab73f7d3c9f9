# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A teacher that is the exponential moving average (EMA) of a student."""

import copy

import torch
from torch import nn


def ema_copy(student: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode whose parameters never get a gradient."""
    return copy.deepcopy(student).requires_grad_(False).eval()


@torch.no_grad()
def ema_update(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """teacher <- momentum * teacher + (1 - momentum) * student, tensor by tensor, in place."""
    pairs = zip(teacher.state_dict().values(), student.state_dict().values(), strict=True)
    for average, current in pairs:
        average.lerp_(current, 1.0 - momentum)


def momentum_at(update: int, total: int, first: float, last: float, rise: int) -> float:
    """Momentum of an update: from first, at update 1, linearly to last.

    Args:
        update: 1-based.
        total: Updates of the whole training.
        first: Momentum of update 1.
        last: Momentum of update min(rise, total), and of all after it.
        rise: Updates that the rise takes at most.
    """
    steps = min(rise, total) - 1
    share = min(1.0, (update - 1) / steps) if steps > 0 else 1.0
    return first + (last - first) * share


def momenta_for(total: int) -> tuple[float, float]:
    """First and last momentum that fit the number of updates: a memory of a 20th, then a 5th.

    With the values that papers give for hundreds of thousands of updates, nine tenths of a teacher
    would still be its random start after a few hundred.
    """
    first, last = (min(0.9999, max(0.5, 1.0 - share / max(1, total))) for share in (20.0, 5.0))
    return first, last
