# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Intervals for one system and paired tests of two, on predictions pooled over folds.

What is resampled is the **utterance** (default) or the **speaker** with all of its utterances.
Utterances of one speaker are alike, so intervals over utterances are the narrower ones and speak
about these speakers; intervals over speakers speak about new ones, and need more than a handful.

Seeds are never resampled. With several seeds a score is computed per seed and averaged, and one
draw of utterances is used for all seeds: each utterance carries its predictions of every seed.
The tests therefore compare the trained models at hand on other utterances (or speakers); whether
another training would come out the same is what the standard deviation over seeds is for.

Resampling is simple, not stratified by class: class sizes vary between draws as they would
between test sets. A draw that misses a class averages the recalls of the others, as `ua` does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sertl.score.metrics import CLASS_METRICS

RESAMPLES = 1000
PERMUTATIONS = 10_000
_CHUNK = 4_000_000  # values of a resampling matrix held at once


@dataclass(frozen=True)
class Predictions:
    """References and predictions of one system on one test set.

    Attributes:
        ref: (N,) int, class indices.
        hyp: (S, N) int, one row of predictions per seed.
        spk: (N,) speaker of each utterance, any type that sorts.
        num_classes: C.
    """

    ref: np.ndarray
    hyp: np.ndarray
    spk: np.ndarray
    num_classes: int

    def confusions(self) -> np.ndarray:
        """(S, C, C) counts, one matrix per seed."""
        cells = self.ref * self.num_classes + self.hyp  # (S, N)
        count = [np.bincount(row, minlength=self.num_classes**2) for row in cells]
        return np.stack(count).reshape(-1, self.num_classes, self.num_classes)

    def correct(self) -> np.ndarray:
        """(N,) share of the seeds that are right about each utterance."""
        return (self.hyp == self.ref).mean(axis=0)

    def score(self, metric: str) -> float:
        """A metric of CLASS_METRICS per seed, averaged over seeds."""
        return float(CLASS_METRICS[metric](self.confusions()).mean())


def intervals(
    predictions: Predictions, unit: str = "utt", resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap 95 % intervals of every classification metric.

    Args:
        predictions: Of one system, folds pooled.
        unit: "utt" or "spk", what is drawn with replacement.
        resamples: Number of draws.
        seed: Of the draws; the same for every call by default, so a report repeats exactly.

    Returns:
        {metric of CLASS_METRICS: (lower, upper)}.
    """
    num_seeds, num_classes = len(predictions.hyp), predictions.num_classes
    cells = predictions.ref * num_classes + predictions.hyp  # (S, N)
    cells = cells + np.arange(num_seeds)[:, None] * num_classes**2
    groups = _groups(predictions.spk, unit)  # (N,)
    rows = np.broadcast_to(groups, cells.shape).ravel()
    counts = sparse.csr_matrix(
        (np.ones(cells.size), (rows, cells.ravel())),
        shape=(groups.max() + 1, num_seeds * num_classes**2),
    )
    values: dict[str, list[np.ndarray]] = {name: [] for name in CLASS_METRICS}
    for draws in _draws(counts.shape[0], resamples, seed):
        confusions = (draws @ counts).reshape(len(draws), num_seeds, num_classes, num_classes)
        for name, metric in CLASS_METRICS.items():
            values[name].append(metric(confusions).mean(axis=1))
    return {name: _interval(np.concatenate(chunks)) for name, chunks in values.items()}


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same utterances; differences are A - B.

    Attributes:
        a, b, difference: Scores averaged over seeds.
        interval: 95 % of the difference, paired bootstrap.
        p_bootstrap: Two-sided, share of draws on the other side of zero, doubled.
        p_permutation: Two-sided approximate randomisation test.
    """

    a: float
    b: float
    difference: float
    interval: tuple[float, float]
    p_bootstrap: float
    p_permutation: float


def compare(
    a: Predictions,
    b: Predictions,
    metric: str = "ua",
    unit: str = "utt",
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Comparison:
    """Paired bootstrap and approximate randomisation test of two systems.

    UA and WA are sums over utterances of weight × (share of seeds that are right), so an utterance
    enters with its right answers averaged within each system; the two may differ in seeds.

    - Paired bootstrap: utterances (speakers) are drawn with replacement, both systems are scored on
      the draw, and their difference is kept.
    - Approximate randomisation: under the hypothesis that the systems are interchangeable, the
      answers of A and B to each utterance (to all of a speaker's utterances) are swapped with
      probability 1/2; p is the share of swaps whose |difference| reaches the observed one. With
      few speakers all 2**U swaps are tried instead (p is then exact).

    Both p values count the observed data as one of the draws, so neither is ever 0.

    Args:
        a, b: The same utterances in the same order.
        metric: "ua" or "wa".
        unit: "utt" or "spk".
        resamples: Draws of the bootstrap.
        permutations: Random swaps of the randomisation test, at most.
        seed: Of both.

    Raises:
        ValueError: If references or speakers differ, or the metric is another one.

    Source:
        Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance
        evaluation", ICASSP 2004; Noreen, "Computer-Intensive Methods for Testing Hypotheses", 1989.
    """
    return compare_over([(a, b)], metric, unit, resamples, permutations, seed)


def compare_over(
    pairs: Sequence[tuple[Predictions, Predictions]],
    metric: str = "ua",
    unit: str = "utt",
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Comparison:
    """As compare, of the mean over several corpora: each has the same say, whatever its size.

    Every corpus is drawn from, and its answers are swapped, by itself.

    Args:
        pairs: Of each corpus, the two systems' predictions.
        metric, unit, resamples, permutations, seed: See compare.
    """
    if metric not in ("ua", "wa"):
        raise ValueError(f"paired tests exist for ua and wa, not for {metric!r}")
    scores, differences, contributions = [], [], []
    for number, (a, b) in enumerate(pairs):
        if not (np.array_equal(a.ref, b.ref) and np.array_equal(a.spk, b.spk)):
            raise ValueError("the two systems were not scored on the same utterances")
        groups = _groups(a.spk, unit)
        kind = a.ref if metric == "ua" else np.zeros_like(a.ref)  # wa: one class of everything
        one_hot = np.eye(kind.max() + 1)[kind]  # (N, C)
        correct_a, correct_b = a.correct(), b.correct()
        lead = correct_a - correct_b  # (N,)
        present = one_hot.sum(axis=0)
        weight = 1.0 / (present[kind] * np.count_nonzero(present))  # (N,): UA, WA are weighted sums
        by_class = np.hstack([one_hot, one_hot * lead[:, None]])  # (N, 2 C)
        scores.append((weight @ correct_a, weight @ correct_b, weight @ lead))
        differences.append(_bootstrap(_sums(groups, by_class), resamples, seed + number))
        contributions.append(_sums(groups, weight * lead) / len(pairs))
    of_a, of_b, difference = np.mean(scores, axis=0)
    drawn = np.mean(differences, axis=0)
    fewer = int(min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0)))
    return Comparison(
        a=float(of_a),
        b=float(of_b),
        difference=float(difference),
        interval=_interval(drawn),
        p_bootstrap=min(1.0, 2 * (1 + fewer) / (1 + resamples)),
        p_permutation=_randomisation(np.concatenate(contributions), permutations, seed),
    )


def _sums(groups: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(N, …) values of utterances -> (U, …) sums over each unit's."""
    sums = np.zeros((groups.max() + 1, *columns.shape[1:]))
    np.add.at(sums, groups, columns)
    return sums


def _bootstrap(sums: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Differences of the systems' scores, one for each draw of units with replacement.

    Args:
        sums: (U, 2 C), of each unit and class the references and A's lead in right answers.
    """
    drawn = []
    for draws in _draws(len(sums), resamples, seed):
        total, lead = np.split(draws @ sums, 2, axis=1)  # (R, C) each
        drawn.append(_mean_over_classes(lead, total))
    return np.concatenate(drawn)


def _randomisation(contribution: np.ndarray, permutations: int, seed: int) -> float:
    """Share of swaps whose difference is as large as the observed one.

    Swapping a unit's answers flips the sign of its contribution to the difference.
    """
    observed, hits, tried = contribution.sum(), 0, 0
    for signs in _signs(len(contribution), permutations, seed):
        hits += int(np.count_nonzero(np.abs(signs @ contribution) >= abs(observed) - 1e-12))
        tried += len(signs)
    return hits / tried


def holm(p_values: list[float]) -> list[float]:
    """Holm's correction for several tests: adjusted p values in the order given.

    Source:
        Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Stat. 6, 1979.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def _groups(spk: np.ndarray, unit: str) -> np.ndarray:
    """Index of the unit that each utterance belongs to."""
    if unit == "utt":
        return np.arange(len(spk))
    if unit == "spk":
        return np.unique(spk, return_inverse=True)[1]
    raise ValueError(f"unit is {unit!r}, expected 'utt' or 'spk'")


def _draws(num_units: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Chunks of (R, U): how often each unit is drawn in each of R draws of U with replacement."""
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // num_units)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        picks = rng.integers(num_units, size=(size, num_units))
        picks += np.arange(size)[:, None] * num_units
        yield np.bincount(picks.ravel(), minlength=size * num_units).reshape(size, num_units)


def _signs(num_units: int, permutations: int, seed: int) -> Iterator[np.ndarray]:
    """Chunks of (R, U) signs: no swap (all +1), then random ones; or all 2**U, if that is fewer."""
    if num_units < 31 and 2**num_units <= permutations:
        bits = np.arange(2**num_units)[:, None] >> np.arange(num_units) & 1
        yield bits * 2.0 - 1.0
        return
    yield np.ones((1, num_units))
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // num_units)
    for start in range(0, permutations, step):
        size = (min(step, permutations - start), num_units)
        yield rng.integers(2, size=size, dtype=np.int8) * 2.0 - 1.0


def _mean_over_classes(lead: np.ndarray, total: np.ndarray) -> np.ndarray:
    """(R, C) sums and references -> (R,) mean share over the classes that are there."""
    share = np.divide(lead, total, out=np.zeros_like(lead), where=total > 0)
    return share.sum(axis=1) / np.count_nonzero(total, axis=1)


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
