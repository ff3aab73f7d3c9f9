# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Speech as it comes: chunks in, segments out, the open one again and again.

A segment is final min_silence_sec (0.3 s) after its speech ends; while it is open it is judged
anew every update_sec of speech. Beside that, latency is a frame of voice activity (32 ms) and the
model's own time. Memory is bounded by the longest segment.
"""

import numpy as np

from sertl.data.audio import SAMPLE_RATE, check_sample_rate
from sertl.errors import SertlError
from sertl.use.opening import AnyPredictor
from sertl.use.segmenter import FRAME, Segmenter
from sertl.use.speech_detector import DETECTORS
from sertl.use.timeline import Plan, Segment, curve_of, long_enough

NO_CURVE = Plan(curve_sec=0.0)


class EmotionStream:
    """One speaker's, or one microphone's, audio.

    Args:
        predictor: Any.
        sample_rate: Of the chunks, in Hz.
        plan: Detector, cutting, curve and speaker.
        update_sec: Speech after which the open segment is judged again; 0: only when it is final.

    Raises:
        SertlError: A rate that is none; no detector of that name.
    """

    def __init__(
        self,
        predictor: AnyPredictor,
        sample_rate: int = SAMPLE_RATE,
        plan: Plan = NO_CURVE,
        update_sec: float = 1.0,
    ):
        check_sample_rate(sample_rate)
        self.predictor, self.plan, self.update_sec = predictor, plan, update_sec
        self._resampler = None
        if sample_rate != SAMPLE_RATE:
            import soxr

            self._resampler = soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32")
        self._detector = DETECTORS.get(plan.vad)()
        self._segmenter = Segmenter(plan.cutting)
        self._kept = np.zeros(0, np.float32)  # samples from self._first on
        self._first = 0
        self._heard = 0  # samples that the detector has had
        self._judged = 0  # of the open segment, when it was last judged
        self._ended = False

    @property
    def latency_sec(self) -> float:
        """Seconds of audio between the end of speech and its final segment, without computing."""
        return self.plan.cutting.min_silence_sec + FRAME / SAMPLE_RATE

    def feed(self, chunk: np.ndarray) -> list[Segment]:
        """Take in the next samples.

        Args:
            chunk: (N,) or (channels, N) float32 in [-1, 1]; channels are averaged.

        Returns:
            Segments that became final, and the open one (final False) when it is due.

        Raises:
            SertlError: Samples that are not finite; a stream that has been finished.
        """
        if self._ended:
            raise SertlError("this stream has been finished; begin another")
        chunk = np.asarray(chunk, dtype=np.float32)
        chunk = chunk.mean(axis=0) if chunk.ndim == 2 else chunk
        if chunk.ndim != 1 or not np.isfinite(chunk).all():
            raise SertlError("a chunk is not (N,) or (channels, N), or holds NaN or infinity")
        if self._resampler is not None:
            chunk = self._resampler.resample_chunk(chunk)
        return self._take(chunk)

    def finish(self) -> list[Segment]:
        """The end: the last segment, if one is open."""
        found = []
        if self._resampler is not None:
            rest = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            found += self._take(rest)
        self._ended = True
        number = self._first + len(self._kept)
        rest = self._kept[self._heard - self._first :]
        spans = []
        if len(rest):
            spans += self._segmenter.feed(self._detector(np.pad(rest, (0, FRAME - len(rest)))))
        spans += self._segmenter.finish(number)
        return found + [self._judge(start, min(stop, number)) for start, stop in spans]

    def _take(self, samples: np.ndarray) -> list[Segment]:
        self._kept = np.concatenate([self._kept, samples])
        found = []
        while self._heard + FRAME <= self._first + len(self._kept):
            begin = self._heard - self._first
            probability = self._detector(self._kept[begin : begin + FRAME])
            self._heard += FRAME
            for start, stop in self._segmenter.feed(probability):
                found.append(self._judge(start, stop))
                self._judged = stop
        start = self._segmenter.start
        step = self.update_sec * SAMPLE_RATE
        if start is not None and step and self._heard - max(start, self._judged) >= step:
            found.append(self._judge(start, self._heard, final=False))
            self._judged = self._heard
        self._forget(start)
        return found

    def _forget(self, start: int | None) -> None:
        """Drop what no segment can need any more."""
        pad = int(self.plan.cutting.pad_sec * SAMPLE_RATE) + FRAME
        oldest = max(self._first, (self._heard - pad) if start is None else start)
        self._kept = self._kept[oldest - self._first :]
        self._first = oldest

    def _judge(self, start: int, stop: int, final: bool = True) -> Segment:
        wav = self._kept[start - self._first : stop - self._first]
        spk = self.plan.spk
        (said,) = self.predictor.predict([long_enough(wav)], [spk], remember=final)
        curve = curve_of(self.predictor, wav, start, spk, said, self.plan) if final else ()
        return Segment(start / SAMPLE_RATE, stop / SAMPLE_RATE, spk, said, curve, final)
