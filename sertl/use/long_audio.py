# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A recording of any length, read piece by piece: as read_audio has it, in bounded memory."""

import os
from collections.abc import Iterator
from math import gcd

import numpy as np

from sertl.data.audio import SAMPLE_RATE, open_audio
from sertl.data.resampling import reach, resample
from sertl.errors import SertlError

BLOCK_SEC = 30


class LongAudio:
    """Samples of a file at 16 kHz mono, by place.

    Args:
        path: Of any format that libsndfile reads.

    Attributes:
        num_samples: At 16 kHz.

    Raises:
        SertlError: A file that cannot be read, or is cut short.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = path
        self._file = open_audio(path)
        rate = self._file.samplerate
        common = gcd(rate, SAMPLE_RATE)
        self._up, self._down = SAMPLE_RATE // common, rate // common
        self.num_samples = -(-self._file.frames * self._up // self._down)

    def __enter__(self) -> "LongAudio":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples start to stop, as read_audio(path)[start:stop] has them.

        Raises:
            SertlError: NaN or infinite samples, or less audio than the header promised.
        """
        up, down = self._up, self._down
        around = reach(up, down)
        first = max(0, start * down // up - around) // down * down  # a sample of both rates
        last = min(self._file.frames, -(-stop * down // up) + around)
        self._file.seek(first)
        samples = self._file.read(last - first, dtype="float32", always_2d=True)
        if len(samples) < last - first:
            raise SertlError(f"{self.path}: truncated after {first + len(samples)} samples")
        if not np.isfinite(samples).all():
            raise SertlError(f"{self.path}: samples are NaN or infinite near {start} (16 kHz)")
        wav = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
        if up != down:
            wav = resample(wav, up, down)
        begin = start - first // down * up
        return np.ascontiguousarray(wav[begin : begin + stop - start], dtype=np.float32)

    def blocks(self, sec: float = BLOCK_SEC) -> Iterator[np.ndarray]:
        """The whole recording, one block after the other."""
        step = int(sec * SAMPLE_RATE)
        for start in range(0, self.num_samples, step):
            yield self.read(start, min(start + step, self.num_samples))
