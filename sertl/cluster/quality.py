# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""How much frame pseudo-labels tell about emotion, gender and speaker."""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.metrics import normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from sertl.data.datadir import DataDir, Utterance

OF_UTTERANCE = {"emotion": "emo", "gender": "gender", "speaker": "spk"}


def purity(truth: np.ndarray, labels: np.ndarray) -> float:
    """Share of frames whose truth is the commonest one in their cluster."""
    return float(contingency_matrix(truth, labels).max(axis=0).sum() / len(truth))


def perplexity(labels: np.ndarray) -> float:
    """exp of the entropy of the labels: how many clusters are in use, in effect."""
    share = np.unique(labels, return_counts=True)[1] / len(labels)
    return float(np.exp(-(share * np.log(share)).sum()))


def measure(data: DataDir, labels: Mapping[str, np.ndarray]) -> dict:
    """Compare the labels of one set with what is known of the utterances.

    Args:
        data: The utterances.
        labels: (T,) of each utterance.

    Returns:
        `perplexity`, and for each name of OF_UTTERANCE that the data know: `nmi` (mutual
        information over the mean of both entropies), `purity`, and `chance`, the purity of one
        cluster of everything.
    """
    found = {"perplexity": perplexity(np.concatenate([labels[utt] for utt in data.utts]))}
    for name, field in OF_UTTERANCE.items():
        known = [u for u in data.utts.values() if getattr(u, field) is not None]
        if not known:
            continue
        own = np.concatenate([labels[u.utt] for u in known])
        truth = _per_frame(known, field, [len(labels[u.utt]) for u in known])
        found[name] = {
            "nmi": float(normalized_mutual_info_score(truth, own)),
            "purity": purity(truth, own),
            "chance": float(np.bincount(truth).max() / len(truth)),
        }
    return found


def _per_frame(utts: Sequence[Utterance], field: str, lens: Sequence[int]) -> np.ndarray:
    """(sum of lens,) the index of each utterance's value, for each of its frames."""
    _, index = np.unique([getattr(u, field) for u in utts], return_inverse=True)
    return np.repeat(index, lens)


def says_something(measured: dict, name: str) -> bool:
    """Whether utterances differ in it; the dev set of one fold may well be a single speaker."""
    return name in measured and measured[name]["chance"] < 1.0
