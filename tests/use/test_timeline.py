# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Segments and curves of long recordings, with a predictor that hears loudness."""

import numpy as np
import pytest
import soundfile
from fake_predictor import FakePredictor, hush, voice

from sertl.use.segmenter import Cutting
from sertl.use.timeline import BATCH_SEC, Plan, timeline

PLAN = Plan(vad="energy")


@pytest.fixture
def recording(tmp_path):
    """Loud, soft, and long: three stretches at 1.0, 4.0 and 6.5 s."""
    parts = [hush(1), voice(2, 0.25), hush(1), voice(1.5, 0.02), hush(1), voice(5, 0.25), hush(1)]
    soundfile.write(tmp_path / "a.wav", np.concatenate(parts), 16000, subtype="FLOAT")
    return str(tmp_path / "a.wav")


def test_segments_with_their_emotions(recording):
    found = timeline(FakePredictor(), recording, PLAN)
    assert found.dur_sec == 12.5
    starts = [one.start for one in found.segments]
    assert starts == pytest.approx([0.9, 3.9, 6.4], abs=0.1)
    assert [one.said.emo for one in found.segments] == ["ang", "sad", "ang"]
    for one in found.segments:
        assert one.said.dur_sec == pytest.approx(one.end - one.start) and one.final
        assert one.curve[0].start == one.start and one.curve[-1].end == pytest.approx(one.end)


def test_the_curve_has_windows_of_one_length(recording):
    long = timeline(FakePredictor(), recording, PLAN).segments[2].curve
    assert all(p.end - p.start == pytest.approx(2.0) for p in long)
    steps = np.diff([p.start for p in long])
    assert steps[:-1] == pytest.approx(0.5) and 0 < steps[-1] <= 0.5
    assert timeline(FakePredictor(), recording, Plan("energy", curve_sec=0)).segments[2].curve == ()


def test_long_segments_are_cut_and_batches_bounded(tmp_path):
    soundfile.write(tmp_path / "b.wav", voice(100), 16000)
    predictor = FakePredictor()
    plan = Plan("energy", Cutting(max_sec=5.0), curve_sec=0)
    found = timeline(predictor, str(tmp_path / "b.wav"), plan)
    assert all(one.end - one.start <= 5.1 for one in found.segments) and len(found.segments) >= 20
    for batch in predictor.asked:
        assert max(batch) * len(batch) <= BATCH_SEC * 16000
    assert max(len(batch) for batch in predictor.asked) > 5


def test_turns_say_who_speaks_and_curves_are_not_remembered(recording):
    turns = [(1.0, 3.0, "A"), (4.0, 5.5, "B"), (6.5, 11.5, "A"), (50.0, 60.0, "C")]
    predictor = FakePredictor(remembers=True)
    found = timeline(predictor, recording, Plan(cutting=Cutting(max_sec=4.0)), turns)
    assert [(s.start, s.end, s.spk) for s in found.segments] == [
        (1.0, 3.0, "A"), (4.0, 5.5, "B"), (6.5, 9.0, "A"), (9.0, 11.5, "A"),
    ]  # fmt: skip
    assert predictor.kept == ["A", "B", "A", "A"]


def test_a_silent_recording_has_no_segments(tmp_path):
    soundfile.write(tmp_path / "c.wav", hush(3), 16000)
    assert timeline(FakePredictor(), str(tmp_path / "c.wav"), PLAN).segments == []


def test_guessed_speakers_are_marked(recording):
    found = timeline(FakePredictor(), recording, Plan("energy", guess=2))
    assert {one.spk for one in found.segments} == {"guess1", "guess2"}
