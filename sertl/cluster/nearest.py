# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Frames to their nearest centroids: fast products find who may be nearest, float64 decides.

Most frames have one centroid that is nearest by far, which bf16 tells. A bound on the rounding says
which others might be nearer; only with these a frame is compared once more, in float64. So labels
are those of float64, whatever the machine, its threads and the size of blocks.
"""

import numpy as np
import torch
from torch.nn import functional as F

from sertl.upstream.precision import PAYS, bf16_share

# Scores at a time: enough for a good matrix product, and to fill a GPU; a CPU's cache holds them.
BLOCK_SCORES = {"cpu": 2**22, "cuda": 2**26}
# Pairs of a frame and a centroid compared in float64 at a time.
PAIRS = {"cpu": 2**9, "cuda": 2**16}
WORTH_BF16 = 2**15  # elements of the centroids, below which products are not what takes the time
UNIT = {torch.bfloat16: 2.0**-8, torch.float32: 2.0**-24}  # largest relative error of rounding
GREATEST = {torch.int16: torch.iinfo(torch.int16).max, torch.float32: torch.inf}
PIECES = {torch.bfloat16: 3, torch.float32: 1}  # numbers of a kind that add up to a float32


class Nearest:
    """Finds each frame's nearest centroid in Euclidean distance, of equals the first.

    A score is the least that |x - c|^2 may be, and something that all scores of x have in common.
    One product gives all of them, as |c|^2 and the doubt about x c are columns of its factors.

    Args:
        centroids: (K, D) float32.
        device: Where the products run.
        bf16: Whether these are of bf16; None: where this CPU has it (a GPU is fast enough).
    """

    def __init__(
        self,
        centroids: np.ndarray,
        device: torch.device | str = "cpu",
        bf16: bool | None = None,
    ):
        self.device = torch.device(device)
        whole = torch.from_numpy(np.ascontiguousarray(centroids, np.float32)).to(self.device)
        self.centroids = whole
        # What all have in common decides nothing and costs digits.
        self.middle = whole.double().mean(dim=0).float()
        exact = whole.double() - self.middle.double()
        norms = exact.square().sum(dim=1)  # (K,)
        if bf16 is None:
            worth = self.device.type == "cpu" and whole.numel() >= WORTH_BF16
            bf16 = worth and bf16_share() <= PAYS
        self.dtype = torch.bfloat16 if bf16 else torch.float32
        factors = (-2.0 * exact).to(self.dtype)
        wrong = (factors.double() + 2.0 * exact).square().sum(dim=1)
        # With x' and f the rounded x and -2 c, their product is at most |x - x'| |2 c| + |x'| |f +
        # 2 c| away from that of x and -2 c.
        doubts = self._no_less(torch.stack([2.0 * norms.sqrt(), wrong.sqrt()], dim=1))  # (K, 2)
        pieces = self._pieces(norms)
        common = factors.new_ones((len(whole), 1))
        self.factors = torch.cat([factors, pieces, common, -doubts], dim=1)
        self.doubts = doubts.float()
        # The sum of a product is wrong by a unit of float32 a term, of what all terms come to if
        # they have one sign (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1):
        # 2 |x| |c| + |x|^2 + |c|^2, at most twice the squares, and the doubts.
        self.of_sum = 2.2 * (self.factors.shape[1] + 8) * UNIT[torch.float32]
        self.largest = norms.max().float()
        self.rows = max(1, BLOCK_SCORES[self.device.type] // len(whole))

    def __call__(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Label frames, and say how far they are.

        Args:
            frames: (N, D) float32.

        Returns:
            (N,) int32 index of the nearest centroid and (N,) float32 squared distance to it.
        """
        whole = self._on_device(frames)
        labels = self.of(whole)
        parts = zip(whole.split(self.rows), labels.split(self.rows), strict=True)
        far = [(rows - self.centroids[own]).square_().sum(dim=1) for rows, own in parts]
        return labels.int().cpu().numpy(), torch.cat(far).cpu().numpy()

    def labels(self, frames: np.ndarray) -> np.ndarray:
        """(N, D) float32 -> (N,) int32: the index alone."""
        return self.of(self._on_device(frames)).int().cpu().numpy()

    @torch.no_grad()
    def of(self, frames: torch.Tensor) -> torch.Tensor:
        """(N, D) float32 on the device -> (N,) int64 there."""
        return torch.cat([self._of_block(block) for block in frames.split(self.rows)])

    def _on_device(self, frames: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(frames, np.float32)).to(self.device)

    def _no_less(self, values: torch.Tensor) -> torch.Tensor:
        """Values, none negative, rounded up to the products' kind."""
        return (values * (1.0 + 4.0 * UNIT[self.dtype])).to(self.dtype)

    def _pieces(self, values: torch.Tensor) -> torch.Tensor:
        """(M,) -> (M, PIECES) that add up to them, but for a unit of float32."""
        pieces = []
        for _ in range(PIECES[self.dtype]):
            pieces.append(values.to(self.dtype))
            values = values - pieces[-1]
        return torch.stack(pieces, dim=1)

    def _of_block(self, block: torch.Tensor) -> torch.Tensor:
        """(n, D) -> (n,) int64."""
        x, size = block - self.middle, block.shape[1]
        factors = self.factors.new_empty((len(block), self.factors.shape[1]))
        rounded, ones, common, doubts = factors.split([size, PIECES[self.dtype], 1, 2], dim=1)
        lengths = torch.linalg.vector_norm(x, dim=1)
        rounded.copy_(x)
        ones.fill_(1.0)
        # As |x|^2 is in all scores of x alike, its rounding does not matter, if none gets negative.
        common.copy_(self._no_less(lengths.square())[:, None])
        lost = torch.linalg.vector_norm(x.sub_(rounded.float()), dim=1)
        doubts.copy_(self._no_less(torch.stack([lost, lengths + lost], dim=1)))
        scores = F.linear(factors, self.factors)
        labels = first_least(in_order(scores))
        # The distance to that one is at most its score, twice its doubt, and what rounding does to
        # sums and scores; what is as near has no higher score than that.
        found = scores.gather(1, labels[:, None])[:, 0].float()
        at_most = found + 2.0 * (doubts.float() * self.doubts[labels]).sum(dim=1)
        at_most += 1.01 * UNIT[self.dtype] * found.abs()
        at_most += 2.0 * self.of_sum * (lengths.square() + self.largest)
        self._decide(in_order(scores), at_most, block, labels)
        return labels

    def _decide(
        self, scores: torch.Tensor, at_most: torch.Tensor, rows: torch.Tensor, labels: torch.Tensor
    ) -> None:
        """Compare what scores do not tell in float64.

        Args:
            scores: (n, K) from in_order, overwritten.
            at_most: (n,) float32: all centroids of that score or less may be the nearest.
            rows: (n, D).
            labels: (n,) of the least scores, mended.
        """
        limit = round_up(at_most, scores.dtype)[:, None]
        scores.scatter_(1, labels[:, None], GREATEST[scores.dtype])
        # What overflows tells nothing
        unsure = (scores.amin(dim=1, keepdim=True) <= limit)[:, 0] | ~at_most.isfinite()
        chosen = unsure.nonzero()[:, 0]
        if len(chosen):
            near = (scores[chosen] <= limit[chosen]) | ~at_most[chosen].isfinite()[:, None]
            near[torch.arange(len(chosen)), labels[chosen]] = True
            labels[chosen] = self._compared(rows[chosen], near)

    def _compared(self, rows: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
        """Of the centroids that may be (n, K), the nearest to each row (n, D), in float64."""
        which, others = near.nonzero(as_tuple=True)
        pairs = PAIRS[self.device.type]
        far = torch.cat(
            [
                (rows[i].double() - self.centroids[k].double()).square_().sum(dim=1)
                for i, k in zip(which.split(pairs), others.split(pairs), strict=True)
            ]
        )
        far.nan_to_num_(nan=torch.inf)  # of a frame that is no number: any will do
        least = far.new_full((len(rows),), torch.inf).scatter_reduce(0, which, far, "amin")
        hit = far == least[which]
        labels = others.new_full((len(rows),), near.shape[1])
        return labels.scatter_reduce(0, which[hit], others[hit], "amin")


def in_order(scores: torch.Tensor) -> torch.Tensor:
    """Scores as what compares fast: bf16 as integers, all negative ones below all others."""
    return scores.view(torch.int16) if scores.dtype is torch.bfloat16 else scores


def round_up(limit: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(n,) float32 to what in_order makes of the least score that is no less; of negatives to 0."""
    limit = limit.clamp(min=0.0)
    if dtype is torch.float32:
        return limit
    return ((limit.view(torch.int32) + 0xFFFF) >> 16).to(torch.int16)  # bf16 is the upper half


def first_least(scores: torch.Tensor) -> torch.Tensor:
    """(n,) place of the least of each row, the first of equals; a NaN counts as less."""
    if scores.device.type == "cpu":  # NumPy's is vectorised, PyTorch's is not: a tenth of the time
        return torch.from_numpy(scores.numpy().argmin(axis=1))
    return scores.argmin(dim=1)
