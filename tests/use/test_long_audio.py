# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Pieces of a recording are what read_audio gives of the whole."""

import numpy as np
import pytest
import soundfile

from sertl.data.audio import read_audio
from sertl.errors import SertlError
from sertl.use.long_audio import LongAudio


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_pieces_are_those_of_the_whole(tmp_path, rate, kind):
    rng = np.random.default_rng(0)
    path = tmp_path / f"a.{kind}"
    soundfile.write(path, 0.1 * rng.standard_normal((rate * 2 + 137, 2)), rate)
    whole = read_audio(path)
    with LongAudio(path) as audio:
        assert audio.num_samples == len(whole)
        for start, stop in ((0, 500), (1, 2), (7777, 20011), (len(whole) - 3, len(whole))):
            np.testing.assert_allclose(audio.read(start, stop), whole[start:stop], atol=2e-7)
        joined = np.concatenate(list(audio.blocks(0.3)))
        np.testing.assert_allclose(joined, whole, atol=2e-7)


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(16000), 16000)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(SertlError, match="truncated"):
        LongAudio(path)
    with pytest.raises(SertlError, match="no such file"):
        LongAudio(tmp_path / "b.wav")
    soundfile.write(path, np.full(16000, np.nan), 16000, subtype="FLOAT")
    with LongAudio(path) as audio, pytest.raises(SertlError, match="NaN"):
        audio.read(0, 100)
