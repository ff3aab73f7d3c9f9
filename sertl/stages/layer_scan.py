# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What each layer of a frozen encoder is worth on a corpus, and which one training would choose."""

import logging
from collections.abc import Sequence

import numpy as np

from sertl.data.speaker_norm import fit_speaker_norm, without_speakers
from sertl.solve.held_out import Settings
from sertl.solve.selection import choose, solve_choice
from sertl.stages.fold_vectors import FoldVectors, Side

logger = logging.getLogger(__name__)


def scan_layers(layers: Sequence[int], folds: Sequence[FoldVectors], norm_conf: dict) -> dict:
    """Solve every layer on every fold, with a strength chosen inside the training speakers.

    Args:
        layers: Indices of the hidden states.
        folds: From open_vectors.
        norm_conf: data_conf.speaker_norm.

    Returns:
        Numbers for report/layer_table.py: labels, layers, folds, spk, ref and, for each layer,
        hyp; inner (folds x layers) the score on held-out training speakers; judged_by.
    """
    ref, spk, hyp, inner, words = [], [], [[] for _ in layers], [], ""
    for fold in folds:
        seen, test = normalised(fold, norm_conf)
        scores = []
        for place in range(len(layers)):
            own = [side.vectors[:, place : place + 1] for side in (seen, test)]
            settings = Settings(combine="best")
            choice = choose(own[0], fold.target(), seen.spks, settings)
            head = solve_choice(own[0], fold.target(), seen.spks, choice, settings)
            hyp[place] += head(own[1]).argmax(dim=1).tolist()
            scores.append(choice.inner_score)
            words = choice.groups
        ref += test.classes.tolist()
        spk += test.spks
        inner.append(scores)
        best = layers[int(np.argmax(scores))]
        logger.info("fold %d: training speakers would choose layer %d", fold.number, best)
    return {
        "labels": folds[0].labels,
        "layers": list(layers),
        "folds": [fold.number for fold in folds],
        "speaker_norm": norm_conf["mode"],
        "spk": spk,
        "ref": ref,
        "hyp": hyp,
        "inner": inner,
        "judged_by": f"{words}; balanced cross-entropy",
    }


def normalised(fold: FoldVectors, conf: dict) -> tuple[Side, Side]:
    """Both sides without what a speaker's clips have in common."""
    norm = fit_speaker_norm(fold.seen.vectors, fold.seen.spks, conf)
    seen, test = (
        Side(side.utts, without_speakers(side.vectors, side.utts, norm), side.classes)
        for side in (fold.seen, fold.test)
    )
    return seen, test
