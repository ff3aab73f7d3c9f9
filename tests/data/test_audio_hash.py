# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Recordings are known by what they hold, not by where they lie."""

import numpy as np
import pytest
import soundfile

from sertl.data.audio import audio_hash
from sertl.data.datadir import Utterance
from sertl.errors import SertlError


def write(folder, gain=1.0):
    """Three clips; the second is multiplied by gain, which changes neither size nor duration."""
    rng, utts = np.random.default_rng(0), []
    folder.mkdir()
    for n in range(3):
        samples = 0.1 * rng.normal(size=8000) * (gain if n == 1 else 1.0)
        soundfile.write(folder / f"{n}.wav", samples, 16000)
        utts.append(Utterance(f"a-{n}", "a", str(folder / f"{n}.wav"), 0.5))
    return utts


def test_a_changed_recording_is_noticed_and_a_moved_corpus_is_not(tmp_path):
    utts = write(tmp_path / "here")
    assert audio_hash(reversed(write(tmp_path / "there"))) == audio_hash(utts)
    assert audio_hash(write(tmp_path / "quieter", gain=0.5)) != audio_hash(utts)
    assert audio_hash(utts[:2]) != audio_hash(utts)


def test_all_that_are_missing_are_listed(tmp_path):
    utts = write(tmp_path / "here")
    for n in (0, 2):
        (tmp_path / f"here/{n}.wav").unlink()
    with pytest.raises(SertlError, match="2 problems.*") as caught:
        audio_hash(utts)
    assert "a-0" in str(caught.value) and "a-2" in str(caught.value)
