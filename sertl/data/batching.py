# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Which utterances make a batch: random, but grouped by length, and the same after any resume."""

from collections.abc import Sequence

import numpy as np

from sertl.seed import derive_seed


def epoch_batches(
    lengths: Sequence[float],
    batch_size: int,
    bucket: int,
    seed: int,
    epoch: int,
    classes: Sequence[int] | None = None,
    least: int = 1,
) -> list[list[int]]:
    """Cut a shuffled epoch into batches of utterances of similar length.

    The order depends on seed and epoch alone, so a resumed run sees the batches it would have seen.

    Args:
        lengths: (N,) length of each utterance, any unit.
        batch_size: Utterances per batch; the last batch of an epoch may be smaller.
        bucket: Batches sorted by length together. 1: no sorting; large: least padding.
        seed: The run's seed.
        epoch: Number of the epoch.
        classes: Class index of each utterance for balanced sampling: N draws with replacement,
            every class equally often on average. Utterances with -1 are never drawn.
        least: A last batch of fewer utterances is left out of the epoch.

    Returns:
        Lists of indices into lengths.
    """
    rng = np.random.default_rng(derive_seed(seed, "epoch", epoch))
    lengths = np.asarray(lengths)
    if classes is None:
        order = rng.permutation(len(lengths))
    else:
        classes = np.asarray(classes)
        counts = np.bincount(classes[classes >= 0])
        chance = np.where(classes >= 0, 1.0 / counts[np.maximum(classes, 0)], 0.0)
        order = rng.choice(len(classes), size=len(classes), p=chance / chance.sum())
    pool = batch_size * max(1, bucket)
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        part = order[start : start + pool]
        if bucket > 1:
            part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i : i + batch_size].tolist() for i in range(0, len(part), batch_size)]
    batches = [batch for batch in batches if len(batch) >= min(least, len(lengths))]
    return [batches[i] for i in rng.permutation(len(batches))]


def cut_by_duration(
    indices: Sequence[int], lengths: Sequence[float], limit: float
) -> list[list[int]]:
    """Cut one batch into micro-batches whose padded length stays within limit.

    Args:
        indices: The batch.
        lengths: Length of every utterance, in the unit of limit.
        limit: Longest utterance times their number, at most. An utterance longer than that is a
            micro-batch of its own.
    """
    pieces: list[list[int]] = []
    for index in sorted(indices, key=lambda i: lengths[i]):
        if pieces and lengths[index] * (len(pieces[-1]) + 1) <= limit:
            pieces[-1].append(index)
        else:
            pieces.append([index])
    return pieces


def ordered_batches(
    indices: Sequence[int], lengths: Sequence[float], batch_size: int, limit: float
) -> list[list[int]]:
    """Batches of a pass whose order does not matter: sorted by length, at most limit when padded.

    Args:
        indices: Utterances to visit.
        lengths: Length of every utterance.
        batch_size: Utterances per batch, at most.
        limit: As in cut_by_duration.
    """
    order = sorted(indices, key=lambda i: lengths[i])
    return [
        piece
        for start in range(0, len(order), batch_size)
        for piece in cut_by_duration(order[start : start + batch_size], lengths, limit)
    ]
