# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Detectors find speech between pauses; Silero's agrees with its own package."""

import numpy as np
import pytest
import torch
from fake_predictor import hush, voice

from sertl.data.audio import read_audio
from sertl.errors import SertlError
from sertl.use.segmenter import Cutting
from sertl.use.speech_detector import DETECTORS, probabilities
from sertl.use.timeline import speech_spans


def test_energy_finds_the_loud_part_whatever_the_level():
    for level in (0.2, 0.01):
        wav = np.concatenate([hush(1.0), voice(1.5, level), hush(1.0)])
        ((start, stop),) = speech_spans([wav], DETECTORS.get("energy")(), Cutting())
        assert abs(start / 16000 - 0.9) < 0.1 and abs(stop / 16000 - 2.6) < 0.15


def test_energy_hears_nothing_in_silence():
    for wav in (np.zeros(32000, np.float32), hush(3.0)):
        assert max(probabilities(DETECTORS.get("energy")(), wav)) < 0.5


def test_blocks_change_nothing():
    wav = np.concatenate([hush(0.7), voice(0.9), hush(0.8), voice(1.2, 0.05), hush(0.5)])
    whole = list(speech_spans([wav], DETECTORS.get("energy")(), Cutting()))
    parts = list(speech_spans(np.array_split(wav, 17), DETECTORS.get("energy")(), Cutting()))
    assert len(whole) == 2 and parts == whole


def test_silero_as_its_own_package_has_it(emodb_dir):
    vad = pytest.importorskip("silero_vad")
    clips = [read_audio(p) for p in sorted(emodb_dir.glob("wav/*.wav"))[:40:10]]
    wav = np.concatenate([part for clip in clips for part in (hush(0.8), clip)] + [hush(0.8)])
    expected = vad.get_speech_timestamps(
        torch.from_numpy(wav), vad.load_silero_vad(), min_silence_duration_ms=300, speech_pad_ms=100
    )
    found = list(speech_spans([wav], DETECTORS.get("silero")(), Cutting()))
    assert len(found) == len(expected) >= 4
    for (start, stop), theirs in zip(found, expected, strict=True):
        assert abs(start - theirs["start"]) <= 512 and abs(stop - theirs["end"]) <= 512


def test_an_unknown_detector_is_named():
    with pytest.raises(SertlError, match="energy"):
        DETECTORS.get("energie")
