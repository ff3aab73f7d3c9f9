# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Health of targets by hand: perplexities, spreads, accuracy, windows."""

import math

import pytest
import torch

from sertl.models.local_attributes.target_diagnostics import (
    FIGURES,
    Window,
    figures,
    measure,
    measure_prediction,
)

FRAMES = torch.tensor([[[1.0], [3.0], [99.0]], [[5.0], [7.0], [99.0]]])
MASK = torch.tensor([[True, True, False]] * 2)


def example():
    sums = measure(FRAMES, MASK, torch.tensor([0, 0, 1, 1]), 4)
    measure_prediction(sums, torch.zeros(3, 4), torch.tensor([0, 0, 1]))
    return sums


def test_figures_by_hand():
    """Frames 1 3 5 7: variance 5. Means of utterances 2 and 6: deviation 2. Two of four labels."""
    values = {name: float(value) for name, value in figures(example()).items()}
    assert values == pytest.approx(
        {
            "perplexity": 2.0,
            "predicted_perplexity": 4.0,  # all logits equal
            "used_share": 0.5,
            "teacher_spread": math.sqrt(5),
            "teacher_utt_spread": 2.0,
            "mask_accuracy": 2 / 3,  # the first class wins a tie
        }
    )


def test_nothing_masked_and_nothing_valid():
    sums = measure(FRAMES, torch.zeros_like(MASK), torch.zeros(0, dtype=torch.int64), 4)
    assert all(math.isfinite(v) for v in figures(sums).values())


def test_a_window_ends_after_enough_updates_and_frames():
    window = Window(1, 4, updates=2, frames=9)
    assert window.figures() == {}
    for expected in (False, False, True, False):  # 4, 8, 12 frames, then a new window
        window.add(example())
        found = window.after_step()
        assert bool(found) == expected
        if found:
            assert found["perplexity"] == pytest.approx(2.0) and list(found) == list(FIGURES)
    other = Window(1, 4, updates=2, frames=9)
    other.load_state_dict(window.state_dict())
    assert other.figures() == window.figures() and torch.equal(other.sums, window.sums)
