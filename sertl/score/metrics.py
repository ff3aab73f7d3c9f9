# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Numbers computed from references and predictions, as fractions (0..1), never per cent.

Classification scores are functions of the confusion matrix alone, so that folds are pooled by
adding matrices and a bootstrap resamples cells (`sertl.score.significance`).
"""

import jiwer
import numpy as np

from sertl.data.tokenizer import normalise_text

LEAST_LOG_PROB = -9.2  # of a judged class, ln 1e-4: a class that others lack must not decide alone


def confusion_matrix(ref: np.ndarray, hyp: np.ndarray, num_classes: int) -> np.ndarray:
    """Count (reference, prediction) pairs.

    Args:
        ref: (N,) int, reference class indices.
        hyp: (N,) int, predicted class indices.
        num_classes: C; every index is in 0..C-1.

    Returns:
        (C, C) int64, rows are references, columns predictions.

    Raises:
        ValueError: If the shapes differ or an index is outside 0..C-1.
    """
    ref, hyp = np.asarray(ref, dtype=np.int64), np.asarray(hyp, dtype=np.int64)
    if ref.shape != hyp.shape or ref.ndim != 1:
        raise ValueError(f"ref {ref.shape} and hyp {hyp.shape} must be 1-D of one length")
    for name, index in (("ref", ref), ("hyp", hyp)):
        outside = index[(index < 0) | (index >= num_classes)]
        if outside.size:
            raise ValueError(
                f"{name} holds class index {outside[0]}, expected 0..{num_classes - 1}"
            )
    cells = np.bincount(ref * num_classes + hyp, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def recalls(confusion: np.ndarray) -> np.ndarray:
    """Recall of each class; NaN where the class has no reference.

    Args:
        confusion: (..., C, C) counts.

    Returns:
        (..., C) float64.
    """
    correct = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    return _ratio(correct, confusion.sum(axis=-1), np.nan)


def ua(confusion: np.ndarray) -> np.ndarray:
    """Unweighted accuracy (UAR): mean recall over the classes that have a reference.

    Args:
        confusion: (..., C, C) counts.

    Returns:
        (...) float64; NaN where nothing was scored.
    """
    return _mean_of_present(recalls(confusion), confusion)


def wa(confusion: np.ndarray) -> np.ndarray:
    """Weighted accuracy: share of correct utterances. (..., C, C) -> (...)."""
    correct = np.trace(confusion, axis1=-2, axis2=-1).astype(np.float64)
    return _ratio(correct, confusion.sum(axis=(-2, -1)), np.nan)


def f1_scores(confusion: np.ndarray) -> np.ndarray:
    """F1 of each class, 2 TP / (2 TP + FP + FN); NaN where the class never occurs at all.

    (..., C, C) -> (..., C). A class with references but without a correct prediction has F1 = 0.
    """
    correct = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    return _ratio(2 * correct, confusion.sum(axis=-1) + confusion.sum(axis=-2), np.nan)


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes that have a reference, as in `ua`. (..., C, C) -> (...).

    A class that is predicted but has no reference is not averaged; its false alarms still lower
    the recall of the classes that they were taken from.
    """
    return _mean_of_present(f1_scores(confusion), confusion)


def weighted_f1(confusion: np.ndarray) -> np.ndarray:
    """F1 averaged with the number of references of each class as weight. (..., C, C) -> (...)."""
    support = confusion.sum(axis=-1)
    total = (np.nan_to_num(f1_scores(confusion)) * support).sum(axis=-1)
    return _ratio(total, support.sum(axis=-1), np.nan)


LEAST_PROBABILITY = 1e-6  # that a model counts as having said
CLASS_METRICS = {"ua": ua, "wa": wa, "macro_f1": macro_f1, "weighted_f1": weighted_f1}


def class_scores(confusion: np.ndarray, labels: list[str]) -> dict:
    """Everything that is reported about one (C, C) confusion matrix, ready for JSON.

    Returns:
        n, classes_scored (classes with at least one reference), ua, wa, macro_f1, weighted_f1,
        recall and support by label (recall is None for a class without a reference), confusion.
    """
    recall, support = recalls(confusion), confusion.sum(axis=1)
    scores = {"n": int(support.sum()), "classes_scored": int((support > 0).sum())}
    scores |= {name: number(metric(confusion)) for name, metric in CLASS_METRICS.items()}
    scores["recall"] = {label: number(r) for label, r in zip(labels, recall, strict=True)}
    scores["support"] = {label: int(n) for label, n in zip(labels, support, strict=True)}
    scores["confusion"] = confusion.tolist()
    return scores


def balanced_loss(log_probs: np.ndarray, ref: np.ndarray) -> float:
    """Cross-entropy, averaged within each class that occurs, then over classes.

    Args:
        log_probs: (N, C).
        ref: (N,) class index of each.
    """
    own = np.maximum(log_probs[np.arange(len(ref)), ref], LEAST_LOG_PROB)
    return float(np.mean([-own[ref == c].mean() for c in np.unique(ref)]))


def ccc(pred: np.ndarray, ref: np.ndarray) -> float:
    """Concordance correlation coefficient, in [-1, 1]; unlike Pearson's r, an offset lowers it.

    Args:
        pred: (N,) predictions, on the scale of ref, which is (N,) too.

    Raises:
        ValueError: If the shapes differ, N < 2, or both are the same constant (0 / 0).

    Source:
        Lin, "A Concordance Correlation Coefficient to Evaluate Reproducibility",
        Biometrics 45(1), 1989. Variances are divided by N, as there.
    """
    pred, ref = _same_shape(pred, ref)
    if pred.size < 2:
        raise ValueError(f"CCC needs at least 2 values, got {pred.size}")
    if np.ptp(pred) == 0 and np.ptp(ref) == 0 and pred[0] == ref[0]:
        raise ValueError(f"CCC is undefined: both sequences are the constant {pred[0]}")
    shift = pred.mean() - ref.mean()
    covariance = ((pred - pred.mean()) * (ref - ref.mean())).mean()
    return float(2 * covariance / (pred.var() + ref.var() + shift**2))


def divergences(pred: np.ndarray, ref: np.ndarray) -> dict[str, float]:
    """How far predicted distributions are from the raters'.

    Args:
        pred: (N, C) probabilities.
        ref: (N, C) shares of the raters.

    Returns:
        kl: mean KL(ref || pred) in nats, of probabilities of at least 1e-6; js: mean Jensen-Shannon
        divergence in nats, at most ln 2.
    """
    pred, ref = np.maximum(pred, LEAST_PROBABILITY), np.asarray(ref, dtype=np.float64)
    pred = pred / pred.sum(axis=1, keepdims=True)

    def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
        return (p * np.log(ratio)).sum(axis=1)

    middle = (pred + ref) / 2
    return {
        "kl": float(kl(ref, pred).mean()),
        "js": float(((kl(ref, middle) + kl(pred, middle)) / 2).mean()),
    }


def rmse(pred: np.ndarray, ref: np.ndarray) -> float:
    """Root mean squared error of two (N,) sequences, N >= 1, in their unit."""
    pred, ref = _same_shape(pred, ref)
    if pred.size == 0:
        raise ValueError("RMSE of nothing")
    return float(np.sqrt(((pred - ref) ** 2).mean()))


def word_errors(refs: list[str], hyps: list[str]) -> dict:
    """Pooled word and character errors after `normalise_text` on both sides.

    WER = (substitutions + deletions + insertions) / reference words over all utterances together;
    CER the same on characters, spaces included. An utterance whose reference is empty after
    normalisation adds its insertions and no reference words.

    Returns:
        n, words, sub, del, ins, wer; chars, char_errors, cer. wer and cer are None if there is no
        reference word at all. The counts are what is added to pool folds.
    """
    pairs = [(normalise_text(r), normalise_text(h)) for r, h in zip(refs, hyps, strict=True)]
    spoken = [pair for pair in pairs if pair[0]]
    unspoken = [hyp for ref, hyp in pairs if not ref]
    counts = {"n": len(pairs), "words": 0, "sub": 0, "del": 0, "ins": 0}
    counts |= {"chars": 0, "char_errors": 0}
    if spoken:
        refs_spoken, hyps_spoken = (list(side) for side in zip(*spoken, strict=True))
        words = jiwer.process_words(refs_spoken, hyps_spoken)
        chars = jiwer.process_characters(refs_spoken, hyps_spoken)
        counts["sub"], counts["del"] = words.substitutions, words.deletions
        counts["ins"] = words.insertions
        counts["words"] = words.hits + words.substitutions + words.deletions
        counts["chars"] = chars.hits + chars.substitutions + chars.deletions
        counts["char_errors"] = chars.substitutions + chars.deletions + chars.insertions
    counts["ins"] += sum(len(hyp.split()) for hyp in unspoken)
    counts["char_errors"] += sum(len(hyp) for hyp in unspoken)
    return error_rates(counts)


def error_rates(counts: dict) -> dict:
    """Return counts of `word_errors` (possibly added up over folds) with wer and cer filled in."""
    errors = counts["sub"] + counts["del"] + counts["ins"]
    words, chars = counts["words"], counts["chars"]
    rates = {"wer": errors / words if words else None}
    rates["cer"] = counts["char_errors"] / chars if chars else None
    return {**counts, **rates}


def number(value: float) -> float | None:
    """A float for JSON: None instead of NaN, which JSON does not have."""
    return None if np.isnan(value) else float(value)


def _mean_of_present(values: np.ndarray, confusion: np.ndarray) -> np.ndarray:
    """Mean of (..., C) values over the classes with a reference in (..., C, C) confusion."""
    present = confusion.sum(axis=-1) > 0
    total = np.where(present, values, 0.0).sum(axis=-1)
    return _ratio(total, present.sum(axis=-1), np.nan)


def _ratio(above: np.ndarray, below: np.ndarray, otherwise: float) -> np.ndarray:
    """above / below, and otherwise where below is 0."""
    above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
    return np.divide(above, below, out=np.full(above.shape, otherwise), where=below > 0)


def _same_shape(pred: np.ndarray, ref: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pred, ref = np.asarray(pred, np.float64), np.asarray(ref, np.float64)
    if pred.shape != ref.shape or pred.ndim != 1:
        raise ValueError(f"pred {pred.shape} and ref {ref.shape} must be 1-D of one length")
    return pred, ref
