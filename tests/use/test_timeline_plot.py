# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The picture of a timeline: its parts by hand, and files of each kind."""

import numpy as np
import pytest
import soundfile
from fake_predictor import CLASSES, FakePredictor, hush, voice

from sertl.use.long_audio import LongAudio
from sertl.use.timeline import Plan, timeline
from sertl.use.timeline_plot import envelope, plot_timeline, points, spectrogram


def test_envelope_and_spectrogram(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(32000) / 16000)
    wav = np.concatenate([np.zeros(16000), tone, np.zeros(16000)])
    soundfile.write(tmp_path / "a.wav", wav, 16000, subtype="FLOAT")
    with LongAudio(tmp_path / "a.wav") as audio:
        low, high = envelope(audio, 4)
        assert low == pytest.approx([0, -0.5, -0.5, 0], abs=1e-3)
        assert high == pytest.approx([0, 0.5, 0.5, 0], abs=1e-3)
        power = spectrogram(audio, 8)
    assert power.shape == (257, 8) and power.max() == 0
    assert power[:, 3].argmax() == 32  # 1000 Hz of 16000 / 512
    assert power[:, 0].max() == -80


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_files(tmp_path, kind):
    soundfile.write(tmp_path / "a.wav", np.concatenate([hush(1), voice(4), hush(1)]), 16000)
    found = timeline(FakePredictor(), str(tmp_path / "a.wav"), Plan("energy"))
    out = tmp_path / f"a.{kind}"
    plot_timeline(tmp_path / "a.wav", found, CLASSES["emo"], out, "a")
    assert (b"PNG" if kind == "png" else b"<svg") in out.read_bytes()[:2000]
    x, y = points(found.segments, "ang")
    assert x[0] == found.segments[0].start and np.isnan(y[-1]) and len(x) > 4


def test_a_recording_without_speech(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 16000)
    found = timeline(FakePredictor(), str(tmp_path / "a.wav"), Plan("energy"))
    plot_timeline(tmp_path / "a.wav", found, CLASSES["emo"], tmp_path / "a.png")
