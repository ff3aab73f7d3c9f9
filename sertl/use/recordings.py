# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Predict whole recordings, many at a time: batches of paths, read where they are predicted."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import soundfile

from sertl.data.audio import read_audio
from sertl.data.tar_members import open_recording
from sertl.errors import SertlError
from sertl.use.opening import AnyPredictor
from sertl.use.padded_batches import padded_batches
from sertl.use.prediction import Prediction


@dataclass(frozen=True)
class Recording:
    """A recording to predict: its id, path, and speaker if known."""

    utt: str
    path: str
    spk: str | None = None


@dataclass(frozen=True)
class Work:
    """Recordings of a batch, and what is wanted of them.

    Attributes:
        recordings: B of them.
        vectors: Whether utterance vectors are.
        keep_going: Leave out what cannot be read.
    """

    recordings: tuple[Recording, ...]
    vectors: bool
    keep_going: bool


def batches(recordings: Iterable[Recording], batch_sec: float) -> Iterator[tuple[Recording, ...]]:
    """Recordings in order, as many a time as batch_sec padded seconds hold by their headers."""
    for batch in padded_batches(recordings, lambda one: _header_sec(one.path), batch_sec):
        yield tuple(batch)


def _header_sec(path: str) -> float:
    """Duration that the header promises; 0 where there is none to read, which reading reports."""
    try:
        with open_recording(path) as stream:
            return float(soundfile.info(stream).duration)
    except (soundfile.SoundFileError, OSError, RuntimeError):
        return 0.0


def predict_batch(predictor: AnyPredictor, work: Work) -> list[tuple[Recording, Prediction | str]]:
    """Each recording with its prediction, or with the reason why it was left out.

    Raises:
        SertlError: A recording that cannot be read, unless work.keep_going.
    """
    wavs, errors = [], {}
    for one in work.recordings:
        try:
            wavs.append(read_audio(one.path, one.utt if one.utt != one.path else None))
        except SertlError as error:
            if not work.keep_going:
                raise
            errors[one.utt] = str(error)
    good = [one for one in work.recordings if one.utt not in errors]
    said = predictor.predict(wavs, [one.spk for one in good], work.vectors) if good else []
    found: dict[str, Prediction | str] = dict(zip((one.utt for one in good), said, strict=True))
    return [(one, errors.get(one.utt) or found[one.utt]) for one in work.recordings]
