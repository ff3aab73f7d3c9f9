# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""How many unlabelled clips of a speaker it takes to know them, and what a skewed choice costs.

A speaker is known by some of their clips, of all classes or of a few, and the shift of speaker
normalisation is made of these. Training speakers are known by as many clips, drawn at random of all
classes. What is solved (layers, strengths) is chosen once for each fold, on its training speakers
normalised by all their clips.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sertl.data.speaker_norm import SpeakerNorm, enrolled, fit_speaker_norm
from sertl.errors import SertlError
from sertl.seed import derive_seed
from sertl.solve.held_out import Settings
from sertl.solve.selection import Choice, choose, solve_choice
from sertl.stages.fold_vectors import FoldVectors, Side
from sertl.stages.layer_scan import normalised

logger = logging.getLogger(__name__)

ALL = -1
CENTRED = {"mode": "offline", "prior": None, "scale": False}


@dataclass(frozen=True)
class Condition:
    """What a test speaker is known by.

    Attributes:
        clips: Number of clips; ALL for all.
        classes: How many classes they are of; 0 for all, -1 for `neutral` alone.
        prior: Weight of the training mean in clips; None estimates it.
    """

    clips: int
    classes: int
    prior: float | None


def conditions(
    counts: Sequence[int], priors: Sequence[float | None], skewed_clips: int
) -> list[Condition]:
    """Numbers of clips of all classes, then a number of clips of few."""
    found = [Condition(n, 0, p) for p in priors for n in counts]
    return found + [Condition(skewed_clips, k, p) for p in priors for k in (2, 1, -1)]


def scan_enrolment(
    folds: Sequence[FoldVectors],
    settings: Settings,
    wanted: Sequence[Condition],
    draws: int,
    neutral: str,
    seed: int = 0,
) -> dict:
    """Score every condition on every fold.

    Args:
        folds: From open_vectors.
        settings: What may be chosen.
        wanted: Conditions.
        draws: Random choices of clips, whose scores are averaged.
        neutral: Name of that class.
        seed: Of the draws.

    Returns:
        Numbers for report/enrolment_table.py: labels, spk, ref, priors (of each fold) and rows:
        clips, classes, prior and hyp, a list for each draw.

    Raises:
        SertlError: No class of that name.
    """
    labels = folds[0].labels
    if neutral not in labels:
        raise SertlError(f"--neutral: '{neutral}' is none of the classes {' '.join(labels)}")
    rows = [
        {
            "clips": c.clips,
            "classes": c.classes,
            "prior": c.prior,
            "hyp": [[] for _ in range(draws)],
        }
        for c in wanted
    ]
    ref, spk, priors = [], [], []
    for fold in folds:
        seen, _ = normalised(fold, CENTRED)
        choice = choose(seen.vectors, fold.target(), seen.spks, settings)
        norm = fit_speaker_norm(fold.seen.vectors, fold.seen.spks, CENTRED)
        priors.append(norm.weight)
        for condition, row in zip(wanted, rows, strict=True):
            for draw in range(draws):
                said = _decide(fold, choice, settings, condition, norm, labels.index(neutral),
                               derive_seed(seed, fold.number, draw))  # fmt: skip
                row["hyp"][draw] += said
        ref += fold.test.classes.tolist()
        spk += fold.test.spks
        logger.info("fold %d of %d, prior %.1f clips", fold.number, len(folds), norm.weight)
    return {"labels": labels, "spk": spk, "ref": ref, "priors": priors, "rows": rows}


def _decide(
    fold: FoldVectors,
    choice: Choice,
    settings: Settings,
    condition: Condition,
    norm: SpeakerNorm,
    neutral: int,
    seed: int,
) -> list[int]:
    """Classes of the test utterances in one condition, for one draw."""
    if condition.prior is not None:
        norm = SpeakerNorm(norm.mode, condition.prior, norm.mean)
    rng = np.random.default_rng(seed)
    known = dict(draw_clips(fold.seen, condition.clips, 0, neutral, rng))
    train = fold.seen.vectors - enrolled(fold.seen.vectors, fold.seen.utts, norm, known)
    known = dict(draw_clips(fold.test, condition.clips, condition.classes, neutral, rng))
    test = fold.test.vectors - enrolled(fold.test.vectors, fold.test.utts, norm, known)
    head = solve_choice(train, fold.target(), fold.seen.spks, choice, settings)
    return head(test).argmax(dim=1).tolist()


def draw_clips(
    side: Side, clips: int, classes: int, neutral: int, rng: np.random.Generator
) -> Iterator[tuple[str, list[int]]]:
    """Speaker by speaker the utterances that they are known by.

    Args:
        side: Of a fold.
        clips: How many at most; ALL for all.
        classes: Of how many classes, drawn for each speaker; 0 for all, -1 for neutral.
        neutral: Its index.
        rng: Draws.
    """
    own_classes = side.classes.numpy()
    for spk in sorted(set(side.spks)):
        own = np.array([i for i, s in enumerate(side.spks) if s == spk])
        if classes:
            there = np.unique(own_classes[own])
            chosen = [neutral] if classes < 0 else rng.permutation(there)[:classes]
            own = own[np.isin(own_classes[own], chosen)]
        own = rng.permutation(own)
        yield spk, (own if clips == ALL else own[:clips]).tolist()
