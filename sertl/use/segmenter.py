# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Speech probabilities of frames, one after the other, to segments: hysteresis, least lengths."""

from dataclasses import dataclass

from sertl.data.audio import SAMPLE_RATE
from sertl.errors import SertlError

FRAME = 512  # samples, 32 ms


@dataclass(frozen=True)
class Cutting:
    """How a recording is cut.

    Attributes:
        threshold, release: Probability at which speech begins, and below which it may end.
        min_speech_sec: Shorter stretches are no speech.
        min_silence_sec: Shorter pauses do not part segments.
        pad_sec: Added at both ends, as far as the neighbours allow.
        max_sec: Longer segments are parted where speech is least probable, in their second half.
    """

    threshold: float = 0.5
    release: float = 0.35
    min_speech_sec: float = 0.25
    min_silence_sec: float = 0.3
    pad_sec: float = 0.1
    max_sec: float = 15.0

    def check(self) -> None:
        """Refuse values that mean nothing.

        Raises:
            SertlError: Naming the value.
        """
        if not 0 < self.release <= self.threshold < 1:
            raise SertlError(
                f"threshold {self.threshold}, release {self.release}: expected 0 < release <= "
                "threshold < 1"
            )
        for name in ("min_speech_sec", "min_silence_sec", "pad_sec"):
            if not 0 <= getattr(self, name) <= 10:
                raise SertlError(f"{name} is {getattr(self, name)}, expected 0 to 10 seconds")
        if not 1 <= self.max_sec <= 30:
            raise SertlError(f"max_sec is {self.max_sec}, expected 1 to 30 seconds")


class Segmenter:
    """Fed with one probability per frame; yields (start, stop) in samples.

    Attributes:
        start: Of the segment that is open, in samples with its padding; None between segments.
    """

    def __init__(self, cutting: Cutting):
        cutting.check()
        self.cutting = cutting
        self._frames = 0  # fed so far
        self._begun: int | None = None  # frame
        self._silent: int | None = None  # frame from which it has been below release
        self._probs: list[float] = []  # of the open segment
        self._last = 0  # samples: end of the segment before
        self._split = False  # whether the open segment goes on from one that was parted

    @property
    def start(self) -> int | None:
        if self._begun is None:
            return None
        return self._begin()

    def feed(self, probability: float) -> list[tuple[int, int]]:
        """The next frame; returns the segments that are complete."""
        conf, now = self.cutting, self._frames
        self._frames += 1
        if self._begun is None:
            if probability >= conf.threshold:
                self._begun, self._silent, self._probs = now, None, [probability]
            return []
        self._probs.append(probability)
        if probability >= conf.release:
            self._silent = None
        elif self._silent is None:
            self._silent = now
        if self._silent is not None and _sec(now + 1 - self._silent) >= conf.min_silence_sec:
            return self._close(self._silent, now + 1)
        if _sec(now + 1 - self._begun) >= conf.max_sec - 2 * conf.pad_sec:
            return [self._part()]
        return []

    def finish(self, num_samples: int) -> list[tuple[int, int]]:
        """The end of the recording, after num_samples; returns the last segment, if one is open."""
        if self._begun is None:
            return []
        stop = self._frames if self._silent is None else self._silent
        found = self._close(stop, self._frames)
        return [(start, min(stop, num_samples)) for start, stop in found]

    def _begin(self) -> int:
        pad = 0 if self._split else int(self.cutting.pad_sec * SAMPLE_RATE)
        return max(self._last, self._begun * FRAME - pad)

    def _close(self, stop: int, latest: int) -> list[tuple[int, int]]:
        """End the open segment at a frame; its padding reaches at most to the latest one."""
        start, begun, split = self._begin(), self._begun, self._split
        self._begun, self._silent, self._split = None, None, False
        if _sec(stop - begun) < self.cutting.min_speech_sec and not split:
            return []
        pad = int(self.cutting.pad_sec * SAMPLE_RATE)
        self._last = max(start + 1, min(stop * FRAME + pad, latest * FRAME))
        return [(start, self._last)]

    def _part(self) -> tuple[int, int]:
        """Part the open segment in its second half, and go on with the rest."""
        half = len(self._probs) // 2
        cut = half + min(range(len(self._probs) - half), key=lambda n: self._probs[half + n])
        cut = max(1, cut)
        start = self._begin()
        self._begun += cut
        self._probs = self._probs[cut:]
        if self._silent is not None and self._silent < self._begun:
            self._silent = self._begun
        self._last, self._split = self._begun * FRAME, True
        return start, self._last


def _sec(frames: int) -> float:
    return frames * FRAME / SAMPLE_RATE
