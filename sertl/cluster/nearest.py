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

# Scores at a time: enough for a good matrix product, and to fill a GPU.
BLOCK_SCORES = {"cpu": 2**21, "cuda": 2**26}
PART_SCORES = {"cpu": 2**18, "cuda": 2**26}  # compared at a time: what a CPU's cache holds
PAIRS = 4096  # of a frame and a centroid, compared in float64 at a time
WORTH_BF16 = 2**15  # elements of the centroids, below which products are not what takes the time
UNIT = {torch.bfloat16: 2.0**-9, torch.float32: 2.0**-24}  # largest relative error of rounding


class Nearest:
    """Finds each frame's nearest centroid in Euclidean distance, of equals the first.

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
        self.norms, self.lengths = norms.float(), norms.sqrt().float()
        if bf16 is None:
            worth = self.device.type == "cpu" and whole.numel() >= WORTH_BF16
            bf16 = worth and bf16_share() <= PAYS
        self.dtype = torch.bfloat16 if bf16 else torch.float32
        self.factors = -2.0 * exact.to(self.dtype)  # twice a number rounds as the number
        # A product x c is wrong by at most a unit for each factor and one for itself, if they are
        # rounded to bf16, and by D units of float32 for the sum (Higham, Accuracy and Stability of
        # Numerical Algorithms, section 3.1); a score holds it twice.
        self.of_sum = (whole.shape[1] + 8) * UNIT[torch.float32]
        self.doubt = 2.0 * (self.of_sum + (3.2 * UNIT[torch.bfloat16] if bf16 else 0.0))
        self.rows = max(1, BLOCK_SCORES[self.device.type] // len(whole))
        self.part_rows = max(1, PART_SCORES[self.device.type] // len(whole))

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

    def _of_block(self, block: torch.Tensor) -> torch.Tensor:
        """(n, D) -> (n,) int64."""
        x = block - self.middle
        lengths = x.square().sum(dim=1).sqrt()
        # |x - c|^2 = |x|^2 + (|c|^2 - 2 x c); the minimum needs the bracket only
        if self.dtype is torch.float32:
            products = torch.addmm(self.norms, x, self.factors.T)
        else:
            products = F.linear(x.to(self.dtype), self.factors)
        labels = []
        parts = (t.split(self.part_rows) for t in (products, block, lengths))
        for part, rows, length in zip(*parts, strict=True):
            if self.dtype is not torch.float32:
                part = part.float().add_(self.norms)
            labels.append(self._of_scores(part, rows, length))
        return torch.cat(labels)

    def _of_scores(
        self, scores: torch.Tensor, rows: torch.Tensor, length: torch.Tensor
    ) -> torch.Tensor:
        """Labels of rows (n, D) by their scores (n, K) and by float64 where these do not tell."""
        scores.addr_(length, self.lengths, alpha=-self.doubt)  # what each may be at least
        labels = first_least(scores)
        at_most = scores.gather(1, labels[:, None])
        at_most += 2.0 * self.doubt * (length * self.lengths[labels])[:, None]
        at_most += 4.0 * self.of_sum * self.norms.max()  # of the squares, and of the additions
        scores.scatter_(1, labels[:, None], torch.inf)
        unsure = (scores.amin(dim=1, keepdim=True) <= at_most)[:, 0].nonzero()[:, 0]
        if len(unsure):
            near = scores[unsure] <= at_most[unsure]
            near[torch.arange(len(unsure)), labels[unsure]] = True
            labels[unsure] = self._compared(rows[unsure], near)
        return labels

    def _compared(self, rows: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
        """Of the centroids that may be (n, K), the nearest to each row (n, D), in float64."""
        which, others = near.nonzero(as_tuple=True)
        far = torch.cat(
            [
                (rows[i].double() - self.centroids[k].double()).square_().sum(dim=1)
                for i, k in zip(which.split(PAIRS), others.split(PAIRS), strict=True)
            ]
        )
        least = far.new_full((len(rows),), torch.inf).scatter_reduce(0, which, far, "amin")
        hit = far == least[which]
        labels = others.new_full((len(rows),), near.shape[1])
        return labels.scatter_reduce(0, which[hit], others[hit], "amin")


def first_least(scores: torch.Tensor) -> torch.Tensor:
    """(n,) place of the least of each row, the first of equals; a NaN counts as less."""
    if scores.device.type == "cpu":  # NumPy's is vectorised, PyTorch's is not: a tenth of the time
        return torch.from_numpy(scores.numpy().argmin(axis=1))
    return scores.argmin(dim=1)
