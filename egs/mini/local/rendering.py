# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""How an emotion is spoken: a point in valence, arousal and dominance, then prosody.

Each class has a centre. An utterance deviates from it at random, and rate, pitch, range and volume
follow from the deviated point with a deviation of their own. The classes therefore overlap: a part
of the utterances cannot be told from another class by anybody, so a perfect score is out of reach.
The deviated point is also the valence, arousal and dominance label of the utterance.
"""

from dataclasses import dataclass

import numpy as np

# Valence, arousal, dominance on 1..5; roughly where raters put these words.
CENTRES = {
    "ang": (1.9, 4.2, 4.0),
    "hap": (4.2, 3.8, 3.4),
    "neu": (3.0, 2.9, 3.0),
    "sad": (2.1, 1.8, 2.1),
    "exc": (4.1, 4.2, 3.6),
    "fru": (2.2, 3.4, 3.5),
    "sur": (3.4, 3.9, 3.0),
    "fea": (2.0, 3.9, 2.0),
    "dis": (1.9, 3.3, 3.6),
    "oth": (3.0, 3.2, 3.1),
    "xxx": (2.8, 3.2, 3.1),
}
# Standard deviations: large enough that the exact rendering tells the class of 96 % of the mini
# corpus, mean and deviation of its filter-banks that of 80 % (speakers unseen).
POINT_DEVIATION = 0.35  # of an utterance around the centre of its class
PROSODY_DEVIATION = 0.25  # of what no label explains, in units of the point's scale


@dataclass(frozen=True)
class Voice:
    """A speaker: an eSpeak NG voice and the speaker's own habits."""

    name: str
    gender: str  # 'm' | 'f'
    pitch: int = 50  # 0..99
    rate_wpm: int = 170


@dataclass(frozen=True)
class Rendering:
    """How one utterance is to be spoken; vad is (valence, arousal, dominance) on 1..5."""

    vad: tuple[float, float, float]
    rate_wpm: int
    pitch: int  # 0..99
    pitch_range: int  # 0..99
    volume: int  # 0..100


def render(emotion: str, voice: Voice, rng: np.random.Generator) -> Rendering:
    """Draw one rendering of emotion by voice."""
    point = np.asarray(CENTRES[emotion]) + rng.normal(0.0, POINT_DEVIATION, 3)
    point = np.clip(point, 1.0, 5.0)
    valence, arousal, dominance = (point - 3.0) / 2.0  # each in -1..1
    unexplained = rng.normal(0.0, PROSODY_DEVIATION / 2.0, 4)
    rate = voice.rate_wpm * 1.7 ** (arousal + unexplained[0])
    pitch = voice.pitch + 40.0 * (arousal + valence + unexplained[1])
    pitch_range = 50.0 + 60.0 * (0.4 * arousal + 0.8 * valence + unexplained[2])
    volume_db = -10.0 + 10.0 * (0.7 * arousal + 0.5 * dominance + unexplained[3])
    return Rendering(
        vad=tuple(round(float(x), 4) for x in point),
        rate_wpm=_within(rate, 80, 360),
        pitch=_within(pitch, 0, 99),
        pitch_range=_within(pitch_range, 0, 99),
        volume=_within(100.0 * 10.0 ** (volume_db / 20.0), 5, 100),
    )


def _within(value: float, low: int, high: int) -> int:
    return int(np.clip(round(float(value)), low, high))
