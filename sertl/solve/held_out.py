# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What solutions without a group of speakers say of that group, one group after the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sertl.data.own_classes import heads_of
from sertl.errors import SertlError
from sertl.nn.own_heads import log_probs
from sertl.solve.linear_problem import LinearProblem, Weights

MOST_GROUPS = 12  # left out one at a time; more are put together
KEPT_GROUPS = 10


@dataclass(frozen=True)
class Settings:
    """What may be chosen.

    Attributes:
        head: logistic or prototype.
        combine: One of COMBINE; auto, the best of them; or blend, the mean of the probabilities of
            the best layer, the best range of layers and the best concatenation.
        strengths: C of logistic regression.
        value_strengths: C of ridge regression.
        criterion: Of classes: loss (cross-entropy, every class alike) or ua (ties: by loss).
        first_columns: Width of the first statistic, when concatenating that alone is a candidate;
            0 for none.
    """

    head: str = "logistic"
    combine: str = "blend"
    strengths: Sequence[float] = (0.001, 0.01, 0.1)
    value_strengths: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1)
    criterion: str = "loss"
    first_columns: int = 0


@dataclass(frozen=True)
class Target:
    """What a head predicts of each training utterance.

    Attributes:
        values: (N,) int64 classes, -1 where unknown, or (N, A) numbers, NaN where unknown.
        num_classes: C; 0 for numbers.
        heads: (C,) head of each class, where there are several (nn/own_heads.py).
    """

    values: torch.Tensor
    num_classes: int
    heads: tuple[int, ...] | None = None

    @classmethod
    def of_classes(cls, values: torch.Tensor, labels: Sequence[str]) -> "Target":
        """Classes by their names."""
        return cls(values, len(labels), heads_of(labels))

    @property
    def known(self) -> torch.Tensor:
        """(N,) bool."""
        if self.num_classes:
            return self.values >= 0
        return self.values.isfinite().all(dim=1)


def inner_splits(groups: Sequence[str], classes: np.ndarray | None) -> tuple[list, str]:
    """Which utterances are judged together, never with others of their speaker in training.

    Args:
        groups: N speakers.
        classes: (N,) for a single speaker, whose utterances then are split by class.

    Returns:
        Lists of indices that are left out, and how they were made, for the card.

    Raises:
        SertlError: One speaker, and no classes or too few utterances.
    """
    # Here, as prediction with what was chosen does without a second of imports.
    from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, StratifiedKFold

    names = np.unique(groups)
    blank = np.zeros(len(groups))
    if len(names) == 1:
        fewest = 0 if classes is None else int(np.bincount(classes)[np.unique(classes)].min())
        if fewest < 2:
            raise SertlError(
                "the training data have one speaker, and too few utterances of some class to "
                "choose layers and strength on parts of them; give model_conf.combine=concat and "
                "one value of model_conf.strengths"
            )
        parts = min(5, fewest)
        splitter = StratifiedKFold(parts, shuffle=True, random_state=0)
        words = f"{parts} parts of the utterances of the only training speaker"
        return [held for _, held in splitter.split(blank, classes)], words
    if len(names) <= MOST_GROUPS:
        splitter, words = LeaveOneGroupOut(), f"leave one of {len(names)} training speakers out"
    else:
        splitter = GroupKFold(KEPT_GROUPS)
        words = f"leave one of {KEPT_GROUPS} groups of {len(names)} training speakers out"
    return [held for _, held in splitter.split(blank, groups=groups)], words


def held_out(
    vectors: torch.Tensor,
    target: Target,
    parts: list,
    settings: Settings,
    device: torch.device | str = "cpu",
    standardise: bool = True,
) -> torch.Tensor:
    """What solutions without each part say of it.

    Vectors are standardised by all training utterances at once: their labels are not used for it.

    Returns:
        (S, N, C) log-probabilities or values, for S strengths.
    """
    problem = LinearProblem(vectors, device, standardise)
    rows = torch.ones(len(parts), len(vectors), dtype=torch.bool)
    for g, part in enumerate(parts):
        rows[g, part] = False
    found = solve(problem, target, strengths_of(target, settings), settings, rows, rough=True)
    size = found[0][0].weight.shape[1]
    result = torch.zeros(len(found), len(vectors), size, dtype=torch.float64)
    for s, of_parts in enumerate(found):
        for g, weights in enumerate(of_parts):
            held = ~rows[g]
            said = (problem.coordinates[held.to(device)] @ weights.weight + weights.bias).cpu()
            result[s, held] = log_probs(said, target.heads) if target.num_classes else said
    return result


def solve(
    problem: LinearProblem,
    target: Target,
    strengths: Sequence[float],
    settings: Settings,
    rows: torch.Tensor | None = None,
    rough: bool = False,
) -> list[list[Weights]]:
    """For each strength the solution on each set of rows, (G, N), or on all."""
    device = problem.mean.device
    values, sets = target.values.to(device), [None] if rows is None else list(rows.to(device))
    if target.num_classes and settings.head == "prototype":
        return [[problem.prototypes(values, target.num_classes, one) for one in sets]]
    if target.num_classes:
        return problem.logistic(values, target.num_classes, strengths, rows, rough, target.heads)
    return [list(of_sets) for of_sets in zip(
        *(problem.ridge(values, strengths, one) for one in sets), strict=True)]  # fmt: skip


def strengths_of(target: Target, settings: Settings) -> Sequence[float]:
    """The values of C among which is chosen, ascending."""
    if target.num_classes and settings.head == "prototype":
        return (1.0,)
    return sorted(settings.strengths if target.num_classes else settings.value_strengths)
