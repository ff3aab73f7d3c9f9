# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A stream finds what a timeline finds, whatever its chunks; the open segment is told again."""

import numpy as np
import pytest
import soundfile
from fake_predictor import FakePredictor, hush, voice

from sertl.errors import SertlError
from sertl.use.segmenter import Cutting
from sertl.use.stream import EmotionStream
from sertl.use.timeline import Plan, timeline

PLAN = Plan("energy", Cutting(max_sec=3.0), curve_sec=0.0)
WAV = np.concatenate([hush(0.5), voice(1.2), hush(0.8), voice(4.3, 0.02), hush(0.6), voice(0.9)])


def heard(chunk, plan=PLAN, **options):
    ear = EmotionStream(FakePredictor(), 16000, plan, **options)
    found = [s for n in range(0, len(WAV), chunk) for s in ear.feed(WAV[n : n + chunk])]
    return found + ear.finish(), ear


@pytest.mark.parametrize("chunk", [160, 1000, 16000, len(WAV)])
def test_final_segments_are_those_of_the_timeline(tmp_path, chunk):
    soundfile.write(tmp_path / "a.wav", WAV, 16000, subtype="FLOAT")
    expected = timeline(FakePredictor(), str(tmp_path / "a.wav"), PLAN).segments
    found = [s for s in heard(chunk)[0] if s.final]
    assert len(found) == len(expected) >= 4
    for one, other in zip(found, expected, strict=True):
        assert (one.start, one.end, one.said.emo) == (other.start, other.end, other.said.emo)
        assert one.said.probs["emo"] == pytest.approx(other.said.probs["emo"], abs=1e-6)


def test_an_open_segment_is_told_every_second_and_nothing_is_kept_for_ever():
    found, ear = heard(1600, update_sec=1.0)
    live = [s for s in found if not s.final]
    assert len(live) >= 4 and all(s.end - s.start >= 1.0 for s in live[:1])
    assert len(ear._kept) <= 3.2 * 16000
    assert not [s for s in heard(1600, update_sec=0.0)[0] if not s.final]
    assert ear.latency_sec == pytest.approx(0.332)


def test_silence_for_long_keeps_little():
    ear = EmotionStream(FakePredictor(), 16000, PLAN)
    for _ in range(200):
        assert ear.feed(hush(0.5)) == []
    assert len(ear._kept) < 16000 and ear.finish() == []


def test_other_rates_and_channels():
    plan = Plan("energy", curve_sec=0.0)
    ear = EmotionStream(FakePredictor(), 48000, plan, update_sec=0.0)
    wide = np.stack([np.repeat(WAV, 3)] * 2)
    found = [s for n in range(0, wide.shape[1], 4800) for s in ear.feed(wide[:, n : n + 4800])]
    found += ear.finish()
    expected = heard(1600, plan, update_sec=0.0)[0]
    assert [s.said.emo for s in found] == [s.said.emo for s in expected]
    assert [s.start for s in found] == pytest.approx([s.start for s in expected], abs=0.07)


def test_what_is_no_audio():
    ear = EmotionStream(FakePredictor(), 16000, PLAN)
    with pytest.raises(SertlError, match="NaN"):
        ear.feed(np.array([np.nan], np.float32))
    ear.finish()
    with pytest.raises(SertlError, match="finished"):
        ear.feed(WAV)
    for rate in (0, True, 10**6):
        with pytest.raises(SertlError, match="sample_rate"):
            EmotionStream(FakePredictor(), rate, PLAN)
