# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What is said of a clip, and how it is written: JSON, columns, Kaldi's text. Needs no torch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sertl.errors import SertlError

VAD = ("valence", "arousal", "dominance")
FORMATS = ("json", "tsv", "kaldi")


@dataclass(frozen=True)
class Prediction:
    """What is said of a clip; None and {} where the model has no such output.

    Attributes:
        emo: The most probable emotion.
        probs: Probability of each class field's classes, by field: {"emo": {"ang": 0.9, …}, …}.
        vad: valence, arousal and dominance, in the training corpus's scale.
        text: Transcript; of an ensemble the first model's.
        dur_sec: Duration of the clip.
        vector: (P,) float32 utterance vector, where it was asked for.
    """

    emo: str | None
    probs: dict[str, dict[str, float]]
    vad: dict[str, float]
    text: str | None
    dur_sec: float
    vector: np.ndarray | None = field(default=None, compare=False)


def averaged(
    classes: Mapping[str, Sequence[str]],
    probs: Sequence[Mapping[str, np.ndarray]],
    vads: Sequence[np.ndarray] = (),
    text: str | None = None,
    dur_sec: float = 0.0,
    vector: np.ndarray | None = None,
) -> Prediction:
    """The prediction of several models together: the means of probabilities and ratings.

    Args:
        classes: Names of each class field's classes.
        probs: Of each model, field -> (C,).
        vads: Of each model that rates, (3,).
        text, dur_sec, vector: As they are.
    """
    mean = {name: np.mean([p[name] for p in probs], axis=0) for name in (probs[0] if probs else ())}
    named = {
        name: dict(zip(classes[name], map(float, values), strict=True))
        for name, values in mean.items()
    }
    emo = max(named["emo"], key=named["emo"].get) if "emo" in named else None
    vad = {}
    if len(vads):
        vad = dict(zip(VAD, map(float, np.mean(vads, axis=0)), strict=True))
    return Prediction(emo, named, vad, text, dur_sec, vector)


def as_fields(one: Prediction) -> dict:
    """What a prediction says, as JSON has it; numbers to four digits."""
    fields: dict = {"emo": one.emo}
    fields["probs"] = {
        name: {label: round(p, 4) for label, p in probs.items()}
        for name, probs in one.probs.items()
    }
    if one.vad:
        fields["vad"] = {name: round(value, 4) for name, value in one.vad.items()}
    if one.text is not None:
        fields["text"] = one.text
    return fields


def as_line(utt: str, path: str, one: Prediction, kind: str, labels: Sequence[str]) -> str:
    """A prediction as a line.

    Args:
        utt, path: Of the recording.
        kind: json; tsv (id, emotion, a probability for each label); kaldi (id, emotion).
        labels: Emotions, in the order of the columns.

    Raises:
        SertlError: For columns, an id that would break the line.
    """
    if kind == "json":
        fields = {"utt": utt, "wav": path, "dur_sec": round(one.dur_sec, 3), **as_fields(one)}
        return json.dumps(fields, ensure_ascii=False) + "\n"
    sep = "\t" if kind == "tsv" else " "
    bad = [
        c for c in (("\t", "\n", "\r") if kind == "tsv" else (" ", "\t", "\n", "\r")) if c in utt
    ]
    if bad:
        raise SertlError(
            f"{utt!r} holds {bad[0]!r}, which a line of format {kind} cannot; take --format "
            "json, or a wav.scp with plain ids"
        )
    if kind == "kaldi":
        return f"{utt}{sep}{one.emo or '-'}\n"
    shown = [f"{one.probs['emo'][label]:.4f}" for label in labels] if one.emo else []
    return sep.join([utt, one.emo or "-", *shown]) + "\n"
