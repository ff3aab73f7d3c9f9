# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Is this frame speech? Voice activity of 32 ms frames, causal: Silero's network, or energy."""

from typing import Protocol

import numpy as np

from sertl.errors import SertlError
from sertl.registry import Registry
from sertl.use.segmenter import FRAME


class SpeechDetector(Protocol):
    """Keeps the state of one recording; a new one for each."""

    def __call__(self, frame: np.ndarray) -> float:
        """(512,) float32 at 16 kHz -> probability of speech."""


DETECTORS: Registry[type[SpeechDetector]] = Registry("voice activity detector", "sertl.use")


@DETECTORS.register("silero")
class Silero:
    """Silero VAD, MIT licence; its network is in the package silero-vad.

    Raises:
        SertlError: If the package is not installed.
    """

    def __init__(self):
        try:
            import torch
            from silero_vad import load_silero_vad
        except ImportError as error:
            raise SertlError(
                "voice activity by silero needs the package silero-vad: pip install "
                "'sertl[timeline]', or choose --vad energy"
            ) from error
        threads = torch.get_num_threads()
        self._net = load_silero_vad()  # which sets the number of threads of the whole process
        torch.set_num_threads(threads)
        self._net.reset_states()
        self._torch = torch

    def __call__(self, frame: np.ndarray) -> float:
        with self._torch.inference_mode():
            return float(self._net(self._torch.from_numpy(frame), 16000))


@DETECTORS.register("energy")
class Energy:
    """Level above a noise floor that follows the quietest frames: up slowly, down at once."""

    above_db = 15.0  # at which a frame is as likely speech as not
    slope_db = 3.0
    rise_db = 0.006  # of the floor, per frame: 0.2 dB a second
    least_db = -65.0  # nothing below is speech

    def __init__(self):
        self._floor: float | None = None

    def __call__(self, frame: np.ndarray) -> float:
        power = float(np.square(frame, dtype=np.float64).mean())
        level = 10 * np.log10(max(power, 1e-10))
        if self._floor is None:
            self._floor = min(level, self.least_db)
        self._floor = min(level, self._floor + self.rise_db) if level > -90 else self._floor
        floor = max(self._floor, self.least_db - self.above_db)
        return float(1 / (1 + np.exp(-(level - floor - self.above_db) / self.slope_db)))


def probabilities(detector: SpeechDetector, wav: np.ndarray) -> list[float]:
    """Of each whole frame, and of the last one padded with zeros."""
    rest = -len(wav) % FRAME
    frames = np.pad(wav, (0, rest)).reshape(-1, FRAME)
    return [detector(frame) for frame in frames]
