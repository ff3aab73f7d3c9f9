# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Linear heads on utterance vectors, solved to convergence.

Vectors are standardised, then turned into the coordinates of their principal axes: with N vectors
of D dimensions there are at most min(N, D) of these, no solution leaves them, and in them the
penalty and the data meet in a diagonal, which makes a good preconditioner. The minimum is that of
scikit-learn's LogisticRegression and Ridge; only the way there is shorter, above all where one
training set is solved again and again for other rows and strengths. SciPy's L-BFGS leads, torch
computes: on a CPU or a GPU.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from sertl.nn.own_heads import CLOSED

logger = logging.getLogger(__name__)

LARGEST = 8000  # axes; beyond it vectors stay in their own coordinates
NO_AXIS = 1e-12  # of the largest square: below it an axis is rounding
LEAST_STD = 1e-5  # a dimension that varies less carries nothing, and stays at zero
FIRST = 12  # steps before the preconditioner is made anew from the probabilities found
MOST = 1000  # steps
SOLVED, ROUGH = 1e-6, 3e-3  # largest gradient at the end, in preconditioned coordinates
HISTORY = 20
BIAS_FLOOR = 1e-3
ABSENT = 30.0  # below the lowest bias: exp(-30) of a probability


@dataclass(frozen=True)
class Weights:
    """A solution in the coordinates of its problem: (R, C) weights and (C,) bias."""

    weight: torch.Tensor
    bias: torch.Tensor


class LinearProblem:
    """Training vectors, standardised and rotated once, for any number of solutions.

    Args:
        vectors: (N, D) of the training utterances, any float type.
        device: Where to solve, in float64.
        standardise: False leaves them as they are, for vectors that are alike already.

    Attributes:
        mean, std: (D,) of the vectors; std is 1 where a dimension does not vary.
        axes: (D, R): standardised vectors @ axes are the coordinates; None for the identity.
        coordinates: (N, R) of the training vectors.
        squares: (R,) sums of the squared coordinates.
    """

    def __init__(
        self, vectors: torch.Tensor, device: torch.device | str = "cpu", standardise: bool = True
    ):
        vectors = vectors.to(device, torch.float64)
        self.mean, std = torch.zeros_like(vectors[0]), torch.ones_like(vectors[0])
        if standardise:
            self.mean, std = vectors.mean(dim=0), vectors.std(dim=0, correction=0)
        self.std = torch.where(std > LEAST_STD, std, torch.ones_like(std))
        standard = (vectors - self.mean) / self.std * (std > LEAST_STD)
        count, size = standard.shape
        if min(count, size) > LARGEST:
            self.axes, self.coordinates = None, standard
            self.squares = standard.square().sum(dim=0)
            return
        if count <= size:
            squares, left = torch.linalg.eigh(standard @ standard.T)
        else:
            squares, right = torch.linalg.eigh(standard.T @ standard)
        kept = squares > NO_AXIS * squares.max().clamp_min(torch.finfo(squares.dtype).tiny)
        self.squares = squares[kept]
        if count <= size:
            left = left[:, kept]
            self.axes = (standard.T @ left) / self.squares.sqrt()
            self.coordinates = left * self.squares.sqrt()
        else:
            self.axes = right[:, kept]
            self.coordinates = standard @ self.axes

    def place(self, vectors: torch.Tensor) -> torch.Tensor:
        """Coordinates (M, R) of other vectors (M, D), standardised like the training vectors."""
        vectors = (vectors.to(self.mean) - self.mean) / self.std
        return vectors if self.axes is None else vectors @ self.axes

    def on_vectors(self, found: Weights) -> tuple[torch.Tensor, torch.Tensor]:
        """A solution as (C, D) weights of standardised vectors, and its (C,) bias."""
        weight = found.weight if self.axes is None else self.axes @ found.weight
        return weight.T.contiguous(), found.bias

    def logistic(
        self,
        classes: torch.Tensor,
        num_classes: int,
        strengths: Sequence[float],
        rows: torch.Tensor | None = None,
        rough: bool = False,
        heads: Sequence[int] | None = None,
    ) -> list[list[Weights]]:
        """Multinomial logistic regressions with balanced class weights, on several sets of rows.

        Each minimises, with C the strength (inverse of the regularisation, as in scikit-learn),
        C sum_i w_i cross-entropy_i + |W|^2 / 2, where w_i = N / (classes present * n of its class)
        and the bias is free. All sets are solved together: one product of large matrices instead
        of many of thin ones.

        Args:
            classes: (N,) int64 class of every training vector.
            num_classes: Of the output; one without a row gets next to no probability.
            strengths: Ascending; each solution starts from the one before.
            rows: (G, N) bool, which vectors count in each set; None for one set of all.
            rough: In float32 and only as far as judging a candidate needs.
            heads: (C,) head of each class: of an utterance only the classes of its own head count.

        Returns:
            For each strength the G solutions.
        """
        x, tolerance = self.coordinates, SOLVED
        if rough:
            x, tolerance = x.float(), ROUGH
        if rows is None:
            rows = torch.ones(1, len(x), dtype=torch.bool)
        target = F.one_hot(classes, num_classes).to(x)
        rows = rows.to(x)
        counts = rows @ target  # (G, C)
        present = counts > 0
        # Of each row and set: N / (classes present * n of its class), 0 where it does not count.
        of_class = rows.sum(dim=1) / present.sum(dim=1) / counts.clamp_min(1.0).T  # (C, G)
        weight = (target @ of_class) * rows.T  # (N, G)
        offset = torch.where(present, 0.0, -ABSENT).to(x)
        closed = _closed(classes, heads, x)
        shape = (x.shape[1] + 1, len(rows), num_classes)
        point, curvature = x.new_zeros(shape), (1 - 1 / num_classes) / num_classes
        solutions = []
        for strength in strengths:
            for steps in (FIRST, MOST):
                data = (x, target, strength * weight, offset, closed)
                point, curvature, solved = _descend(
                    data, self.squares, point, curvature, steps, tolerance
                )
                if solved:
                    break
            if not solved and not rough:
                logger.warning("logistic regression, C %g: not solved in %d steps", strength, MOST)
            found = point.double()
            solutions.append(
                [Weights(found[:-1, g], found[-1, g] + offset[g]) for g in range(len(rows))]
            )
        return solutions

    def ridge(
        self, values: torch.Tensor, strengths: Sequence[float], rows: torch.Tensor | None = None
    ) -> list[Weights]:
        """Ridge regression: minimises C |y - x W - b|^2 + |W|^2, the bias free.

        Args:
            values: (N, A) targets of every training vector.
            strengths: C, the inverse of scikit-learn's alpha.
            rows: (N,) bool, which vectors count; None for all.
        """
        x = self.coordinates if rows is None else self.coordinates[rows]
        y = (values if rows is None else values[rows]).to(x)
        x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
        x = x - x_mean
        squares, axes = torch.linalg.eigh(x.T @ x)
        projected = axes.T @ (x.T @ (y - y_mean))
        solutions = []
        for strength in strengths:
            weight = axes @ (projected / (squares.clamp_min(0.0) + 1 / strength)[:, None])
            solutions.append(Weights(weight, y_mean - x_mean @ weight))
        return solutions

    def prototypes(
        self, classes: torch.Tensor, num_classes: int, rows: torch.Tensor | None = None
    ) -> Weights:
        """The nearest class mean as a linear head, for a few examples of each class.

        Logits are -|x - mean_c|^2 / 2 without what all classes share, over the number of
        dimensions: x . mean_c - |mean_c|^2 / 2. A class without a row is never nearest.

        Source:
            Snell et al., "Prototypical networks for few-shot learning", NeurIPS 2017.
        """
        x = self.coordinates if rows is None else self.coordinates[rows]
        y = (classes if rows is None else classes[rows]).to(x.device)
        target = F.one_hot(y, num_classes).to(x)
        count, size = target.sum(dim=0), len(self.mean)
        means = (x.T @ target) / count.clamp_min(1.0)  # (R, C)
        bias = -0.5 * means.square().sum(dim=0) / size
        return Weights(means / size, torch.where(count > 0, bias, bias.min() - ABSENT))


def _closed(classes: torch.Tensor, heads: Sequence[int] | None, like: torch.Tensor) -> torch.Tensor:
    """(N, 1, C) what keeps classes of other heads out of a row's probabilities."""
    if heads is None:
        return like.new_zeros(1, 1, 1)
    own = torch.tensor(heads, device=like.device)
    return torch.where(own[classes][:, None] == own, 0.0, CLOSED).to(like)[:, None]


def _descend(
    data: tuple[torch.Tensor, ...],
    squares: torch.Tensor,
    start: torch.Tensor,
    curvature: float,
    steps: int,
    tolerance: float,
) -> tuple[torch.Tensor, float, bool]:
    """L-BFGS from a start, in coordinates where the Hessian is near the identity.

    Args:
        data: (N, R) coordinates; (N, C) one-hot classes; (N, G) weights of each row in each set,
            with the strength in them; (G, C) and (N, 1, C) what is added to logits.
        squares: (R,) of all training vectors, for the preconditioner.
        start: (R + 1, G, C): weights and, last, biases.
        curvature: Mean of p (1 - p), of which the Hessian is made.
        steps: At most.
        tolerance: Largest gradient at the end.

    Returns:
        The solution, the curvature there, and whether the tolerance was reached.
    """
    x, target, weight, offset, closed = data
    mean, total = weight.sum() / (weight > 0).sum(), weight.sum(dim=0).mean()
    scale = (1 + mean * curvature * squares).sqrt().to(x)  # (R,)
    scale = torch.cat([scale, (BIAS_FLOOR + curvature * total).sqrt()[None]])  # (R + 1,)
    scaled = torch.cat([x, x.new_ones(len(x), 1)], dim=1) / scale  # (N, R + 1)
    penalty = 1 / scale.square()
    penalty[-1] = 0.0
    weights = weight[:, :, None]  # (N, G, 1)
    seen = {}

    def loss_and_slope(flat: np.ndarray) -> tuple[float, np.ndarray]:
        point = torch.from_numpy(flat).reshape(len(scale), -1).to(x)  # (R + 1, G * C)
        logits = (scaled @ point).reshape(len(x), *offset.shape) + offset + closed
        log_prob = logits.log_softmax(dim=2)  # (N, G, C)
        prob = seen["prob"] = log_prob.exp()
        slope = ((prob - target[:, None]) * weights).flatten(1)
        pull = penalty[:, None] * point
        value = 0.5 * (pull * point).sum() - (weights * log_prob * target[:, None]).sum()
        gradient = scaled.T @ slope + pull
        return float(value), gradient.reshape(-1).double().cpu().numpy()

    begin = start.flatten(1) * scale[:, None]
    from scipy.optimize import minimize  # not needed, and slow to import, to predict

    found = minimize(
        loss_and_slope,
        begin.reshape(-1).double().cpu().numpy(),
        jac=True,
        method="L-BFGS-B",
        options={"maxcor": HISTORY, "maxiter": steps, "maxfun": 2 * steps, "gtol": tolerance,
                 "ftol": 0.0},
    )  # fmt: skip
    end = torch.from_numpy(found.x).reshape(start.shape).to(x) / scale[:, None, None]
    loss_and_slope(found.x)
    prob = seen["prob"]
    curvature = float((weights * prob * (1 - prob)).sum() / weight.sum() / offset.shape[1])
    return end, max(curvature, 1e-8), bool(np.abs(found.jac).max() <= 2 * tolerance)
