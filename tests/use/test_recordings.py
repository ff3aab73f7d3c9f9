# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Batches of recordings, and those that cannot be read."""

import numpy as np
import pytest
import soundfile
from fake_predictor import FakePredictor

from sertl.errors import SertlError
from sertl.use.recordings import Recording, Work, batches, predict_batch


def write(folder, name, sec):
    soundfile.write(folder / name, 0.1 * np.ones(int(16000 * sec)), 16000)
    return Recording(name, str(folder / name))


def test_batches_hold_so_many_padded_seconds(tmp_path):
    some = [write(tmp_path, f"{n}.wav", sec) for n, sec in enumerate((1.0, 2.0, 1.0, 0.5))]
    found = [[one.utt for one in batch] for batch in batches(some, 4.0)]
    assert found == [["0.wav", "1.wav"], ["2.wav", "3.wav"]]
    # One that is longer than a batch, and one without a header, come by themselves or along.
    odd = [write(tmp_path, "long.wav", 9.0), Recording("no", str(tmp_path / "no.wav")), some[0]]
    assert [[one.utt for one in batch] for batch in batches(odd, 4.0)] == [
        ["long.wav"],
        ["no", "0.wav"],
    ]


def test_a_bad_recording_stops_or_is_left_out(tmp_path):
    good, bad = write(tmp_path, "good.wav", 1.0), Recording("bad", str(tmp_path / "bad.wav"))
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    with pytest.raises(SertlError, match="bad.wav"):
        predict_batch(FakePredictor(), Work((bad, good), False, False))
    (_, reason), (_, said) = predict_batch(FakePredictor(), Work((bad, good), False, True))
    assert "bad.wav" in reason and said.dur_sec == 1.0 and said.emo == "sad"
    assert [r for _, r in predict_batch(FakePredictor(), Work((bad,), False, True))] == [reason]
