# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Span masks: counts by hand, share of masked frames, independence of batch mates."""

import pytest
import torch

from sertl.nn.span_mask import span_mask, span_masks


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_cases_with_one_outcome():
    assert span_mask(10, 0.8, 10, generator()).all()  # the only start is 0
    assert not span_mask(9, 0.8, 10, generator()).any()  # too short for a span
    assert not span_mask(1, 1.0, 2, generator()).any()
    for seed in range(5):  # 0.5 * 8 / 1 = 4 spans of one frame, at different frames
        assert span_mask(8, 0.5, 1, generator(seed)).sum() == 4
        # 0.01 * 20 / 5 = 0.04 spans, but at least one is wanted: 5 frames in a row
        frames = span_mask(20, 0.01, 5, generator(seed), least=1).nonzero().flatten().tolist()
        assert frames == list(range(frames[0], frames[0] + 5))


def test_a_short_clip_is_not_masked_more_than_a_long_one():
    """0.08 * 12 / 10 = 0.096 spans: nine in ten clips of 12 frames stay whole."""
    masked = sum(bool(span_mask(12, 0.08, 10, generator(s)).any()) for s in range(500))
    assert masked / 500 == pytest.approx(0.096, abs=0.03)


def test_least_number_of_spans():
    """Two spans of 5 in 30 frames, which may overlap but start apart: 6 to 10 frames."""
    counts = {int(span_mask(30, 0.01, 5, generator(s), least=2).sum()) for s in range(60)}
    assert min(counts) >= 6 and max(counts) == 10
    assert span_mask(5, 0.01, 5, generator(), least=2).sum() == 5  # only one start


def test_share_of_masked_frames():
    """Starts cover 0.08 of the frames; (1 - 0.08)^10 = 0.434 of the frames escape, 0.566 do not."""
    share = torch.stack([span_mask(1000, 0.8, 10, generator(s)).float() for s in range(40)]).mean()
    assert share == pytest.approx(0.566, abs=0.015)


def test_number_of_spans_is_right_on_average():
    """0.3 * 10 / 2 = 1.5: one or two spans, of 2 to 4 frames together."""
    counts = [int(span_mask(10, 0.3, 2, generator(s)).sum()) for s in range(100)]
    assert set(counts) == {2, 3, 4}


def test_a_mask_depends_on_its_generator_only():
    first = span_masks([12, 30], 30, 0.8, 10, [generator(1), generator(2)])
    second = span_masks([30, 12, 5], 40, 0.8, 10, [generator(2), generator(1), generator(3)])
    assert torch.equal(first[0], second[1, :30]) and torch.equal(first[1], second[0, :30])
    assert not second[1, 12:].any() and not second[2].any()  # padding is never masked
    assert not torch.equal(first[1], span_mask(30, 0.8, 10, generator(9)))
