# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Classifying frames by several label sets at once, and the loss of it."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

REDUCTIONS = ("mean", "sum")


class FrameHeads(nn.Module):
    """A head for each label set: Linear(D, hidden), tanh, Linear(hidden, K_j).

    Args:
        input_size: D.
        clusters: K_j of each of J label sets.
        hidden: Width of the hidden layers.

    Source:
        Chen & Rudnicky, "P-TAPT", ICASSP 2023, and its code.
    """

    def __init__(self, input_size: int, clusters: Sequence[int], hidden: int = 256):
        super().__init__()
        if not clusters:
            raise ValueError("frame heads need at least one label set")
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(input_size, hidden), nn.Tanh(), nn.Linear(hidden, number))
            for number in clusters
        )

    def forward(self, frames: torch.Tensor) -> list[torch.Tensor]:
        """(N, D) -> J tensors (N, K_j)."""
        return [head(frames) for head in self.heads]


def frame_cross_entropy(
    logits: Sequence[torch.Tensor], labels: torch.Tensor, reduce: str = "mean"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of frames, averaged over them; over heads averaged or added.

    The mean over heads keeps gradient clipping independent of their number; P-TAPT adds.

    Args:
        logits: J tensors (N, K_j), of the frames that count.
        labels: (N, J) int64.
        reduce: mean or sum, over heads.

    Returns:
        The loss (0 without frames) and the number of frames, see nn.losses.
    """
    if reduce not in REDUCTIONS:
        raise ValueError(f"reduce is '{reduce}', expected one of {REDUCTIONS}")
    totals = [
        F.cross_entropy(own.float(), target, reduction="sum")
        for own, target in zip(logits, labels.T, strict=True)
    ]
    total = torch.stack(totals).sum() / (len(totals) if reduce == "mean" else 1)
    return total / max(1, len(labels)), torch.tensor(float(len(labels)), device=labels.device)
