# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""When in a recording is which emotion: segments of speech, and a curve inside each.

Memory is bounded by a batch of segments, whatever the length of the recording.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sertl.data.audio import SAMPLE_RATE
from sertl.use.long_audio import LongAudio
from sertl.use.opening import AnyPredictor
from sertl.use.padded_batches import padded_batches
from sertl.use.prediction import Prediction, as_fields
from sertl.use.segmenter import FRAME, Cutting, Segmenter
from sertl.use.speakers import Turn, cluster_speakers, voice_vector
from sertl.use.speech_detector import DETECTORS, SpeechDetector, probabilities

BATCH_SEC = 60.0
LEAST_SAMPLES = 800  # what is shorter is heard with silence after it


@dataclass(frozen=True)
class CurvePoint:
    """A window of a segment, start and end in seconds, and its emotions' probabilities."""

    start: float
    end: float
    probs: dict[str, float]


@dataclass(frozen=True)
class Segment:
    """A stretch of speech.

    Attributes:
        start, end: In seconds of the recording.
        spk: Who speaks, if known.
        said: What the model says of it.
        curve: Overlapping windows inside; one for a segment that is no longer than a window.
        final: Whether it is complete; a stream also shows what is still being said.
    """

    start: float
    end: float
    spk: str | None
    said: Prediction
    curve: tuple[CurvePoint, ...] = ()
    final: bool = True


@dataclass(frozen=True)
class Timeline:
    """A recording's segments, in order of time."""

    dur_sec: float
    segments: list[Segment]


@dataclass(frozen=True)
class Plan:
    """How timelines are made.

    Attributes:
        vad: Name of a speech detector.
        cutting: Of the segments.
        curve_sec, hop_sec: Length of the windows of the curve and their distance; 0: no curve.
        spk: Speaker of the whole recording.
        guess: Cluster the segments into as many speakers; 0: do not.
    """

    vad: str = "silero"
    cutting: Cutting = Cutting()
    curve_sec: float = 2.0
    hop_sec: float = 0.5
    spk: str | None = None
    guess: int = 0


Span = tuple[int, int, str | None]  # start and stop in samples, speaker


def timeline(
    predictor: AnyPredictor, path: str, plan: Plan = Plan(), turns: Sequence[Turn] = ()
) -> Timeline:
    """The timeline of a recording.

    Args:
        predictor: Any.
        path: Audio file.
        plan: See Plan.
        turns: Who speaks when; then these are the segments (longer ones in equal pieces).

    Raises:
        SertlError: A recording that cannot be read; no detector of that name.
    """
    with LongAudio(path) as audio:
        spans: Iterable[Span]
        if turns:
            spans = _turn_spans(turns, plan.cutting.max_sec, audio.num_samples)
        else:
            found = speech_spans(audio.blocks(), DETECTORS.get(plan.vad)(), plan.cutting)
            spans = ((start, stop, plan.spk) for start, stop in found)
        if plan.guess:
            listed = list(spans)
            names = cluster_speakers(
                [voice_vector(audio.read(start, stop)) for start, stop, _ in listed], plan.guess
            )
            spans = [(a, b, name) for (a, b, _), name in zip(listed, names, strict=True)]
        segments = list(judge(predictor, audio, spans, plan))
        return Timeline(audio.num_samples / SAMPLE_RATE, segments)


def speech_spans(
    blocks: Iterable[np.ndarray], detector: SpeechDetector, cutting: Cutting
) -> Iterator[tuple[int, int]]:
    """Segments of speech in blocks of a recording, as (start, stop) in samples."""
    segmenter, rest, total = Segmenter(cutting), np.zeros(0, np.float32), 0
    for block in blocks:
        total += len(block)
        rest = np.concatenate([rest, block])
        whole = len(rest) // FRAME * FRAME
        for probability in probabilities(detector, rest[:whole]):
            yield from segmenter.feed(probability)
        rest = rest[whole:]
    if len(rest):
        for probability in probabilities(detector, rest):
            yield from segmenter.feed(probability)
    yield from segmenter.finish(total)


def _turn_spans(turns: Sequence[Turn], max_sec: float, num_samples: int) -> Iterator[Span]:
    """Turns as spans, those that are longer than max_sec in equal pieces."""
    for start, end, spk in turns:
        first = min(int(start * SAMPLE_RATE), num_samples)
        last = min(int(end * SAMPLE_RATE), num_samples)
        pieces = max(1, -(-(last - first) // int(max_sec * SAMPLE_RATE)))
        edges = [first + (last - first) * n // pieces for n in range(pieces + 1)]
        yield from ((a, b, spk) for a, b in zip(edges, edges[1:], strict=False) if b - a >= FRAME)


def judge(
    predictor: AnyPredictor, audio: LongAudio, spans: Iterable[Span], plan: Plan
) -> Iterator[Segment]:
    """Predict spans of a recording, a batch at a time, in their order."""
    most = BATCH_SEC * SAMPLE_RATE
    for batch in padded_batches(spans, lambda span: span[1] - span[0], most):
        yield from _judge_batch(predictor, audio, batch, plan)


def _judge_batch(
    predictor: AnyPredictor, audio: LongAudio, spans: Sequence[Span], plan: Plan
) -> Iterator[Segment]:
    wavs = [audio.read(start, stop) for start, stop, _ in spans]
    said = predictor.predict([long_enough(wav) for wav in wavs], [spk for _, _, spk in spans])
    for (start, stop, spk), wav, one in zip(spans, wavs, said, strict=True):
        one = replace(one, dur_sec=len(wav) / SAMPLE_RATE)
        curve = curve_of(predictor, wav, start, spk, one, plan)
        yield Segment(start / SAMPLE_RATE, stop / SAMPLE_RATE, spk, one, curve)


def long_enough(wav: np.ndarray) -> np.ndarray:
    """Silence after what is too short to hear."""
    return np.pad(wav, (0, max(0, LEAST_SAMPLES - len(wav))))


def curve_of(
    predictor: AnyPredictor,
    wav: np.ndarray,
    start: int,
    spk: str | None,
    whole: Prediction,
    plan: Plan,
) -> tuple[CurvePoint, ...]:
    """Emotions of overlapping windows of a segment; nothing is remembered of the speaker.

    Args:
        predictor: Any.
        wav: (N,) of the segment.
        start: Its first sample in the recording.
        spk: Who speaks.
        whole: What is said of it all.
        plan: curve_sec and hop_sec.
    """
    if not plan.curve_sec or whole.emo is None:
        return ()
    window, hop = int(plan.curve_sec * SAMPLE_RATE), int(plan.hop_sec * SAMPLE_RATE)
    if len(wav) <= window:
        end = (start + len(wav)) / SAMPLE_RATE
        return (CurvePoint(start / SAMPLE_RATE, end, whole.probs["emo"]),)
    places = list(range(0, len(wav) - window, hop)) + [len(wav) - window]
    clips = [wav[p : p + window] for p in places]
    said = predictor.predict(clips, [spk] * len(clips), remember=False)
    return tuple(
        CurvePoint((start + p) / SAMPLE_RATE, (start + p + window) / SAMPLE_RATE, one.probs["emo"])
        for p, one in zip(places, said, strict=True)
    )


def segment_fields(segment: Segment) -> dict:
    """A segment as JSON has it; seconds to the millisecond."""
    fields: dict = {"start": round(segment.start, 3), "end": round(segment.end, 3)}
    if segment.spk is not None:
        fields["spk"] = segment.spk
    fields |= as_fields(segment.said)
    if segment.curve:
        fields["curve"] = [
            {
                "start": round(point.start, 3),
                "end": round(point.end, 3),
                "probs": {label: round(p, 4) for label, p in point.probs.items()},
            }
            for point in segment.curve
        ]
    return fields
