# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Probabilities to segments: by hand, and properties of any sequence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sertl.errors import SertlError
from sertl.use.segmenter import FRAME, Cutting, Segmenter

SEC = 16000 / FRAME  # frames


def cut(probs, **conf):
    segmenter = Segmenter(Cutting(**conf))
    found = [span for p in probs for span in segmenter.feed(p)]
    return found + segmenter.finish(len(probs) * FRAME)


def test_speech_between_pauses():
    # 10 frames of pause, 20 of speech, 20 of pause: 0.1 s = 1600 samples of padding.
    (span,) = cut([0.0] * 10 + [0.9] * 20 + [0.0] * 20)
    assert span == (10 * FRAME - 1600, 30 * FRAME + 1600)
    assert cut([0.0] * 10 + [0.9] * 5 + [0.0] * 20) == []  # 0.16 s is no speech
    assert cut([0.0] * 40) == [] and cut([]) == []


def test_hysteresis_and_short_pauses_do_not_part():
    assert len(cut([0.9] * 10 + [0.4] * 30 + [0.9] * 10)) == 1  # never below release
    assert len(cut([0.9] * 10 + [0.1] * 5 + [0.9] * 10)) == 1  # 0.16 s of pause
    assert len(cut([0.9] * 10 + [0.1] * 10 + [0.9] * 10)) == 2  # 0.32 s
    assert cut([0.4] * 50) == []  # never reaches the threshold


def test_long_speech_is_parted_where_it_is_least_probable():
    probs = [0.9] * 150
    probs[60] = 0.6
    found = cut(probs, max_sec=2.6, pad_sec=0.0)
    assert found[0] == (0, 60 * FRAME) and found[1][0] == 60 * FRAME


@given(
    st.lists(st.floats(0, 1), max_size=400),
    st.sampled_from([1.0, 2.0, 15.0]),
    st.sampled_from([0.0, 0.1, 0.4]),
)
def test_segments_are_in_order_apart_and_no_longer_than_allowed(probs, most, pad):
    found = cut(probs, max_sec=most, pad_sec=pad if most > 1 else 0.1)
    place = 0
    for start, stop in found:
        assert place <= start < stop <= len(probs) * FRAME
        assert stop - start <= most * 16000 + 2 * FRAME
        place = stop


def test_values_that_mean_nothing():
    for conf in ({"release": 0.9}, {"max_sec": 0.1}, {"pad_sec": -1.0}, {"min_silence_sec": 99}):
        with pytest.raises(SertlError, match="expected"):
            Segmenter(Cutting(**conf))
