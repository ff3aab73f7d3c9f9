# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Additive-margin softmax: classes as directions, told apart by a margin of the cosine.

Wang et al., "Additive Margin Softmax for Face Verification", IEEE Signal Processing Letters 2018.
"""

import torch
from torch import nn
from torch.nn import functional as F

from sertl.nn.losses import cross_entropy


class CosineHead(nn.Module):
    """Logits s * cos(f, w_c); neither the length of f nor that of w_c matters.

    Args:
        input_size: D.
        classes: C.
        scale: s.
    """

    def __init__(self, input_size: int, classes: int, scale: float = 30.0):
        super().__init__()
        if not scale > 0.0:
            raise ValueError(f"scale must be above 0, got {scale}")
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(classes, input_size))
        nn.init.xavier_normal_(self.weight)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, C) float32, in [-s, s]."""
        with torch.autocast(vectors.device.type, enabled=False):  # s would magnify the rounding
            unit = F.normalize(vectors.float(), dim=1)
            return self.scale * (unit @ F.normalize(self.weight.float(), dim=1).T)


def am_softmax(
    logits: torch.Tensor,
    target: torch.Tensor,
    margin: float,
    scale: float,
    class_weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy after s * m was taken off the true class: cos_y must lead by the margin.

    Args:
        logits: (B, C) of a CosineHead.
        target: (B,) int64, -1 where the label is missing.
        margin: m, 0 for cross-entropy.
        scale: s of the head.
        class_weights: (C,) or None.

    Returns:
        Mean and weight, see nn.losses.
    """
    own = F.one_hot(target.clamp_min(0), logits.shape[1])  # (B, C)
    return cross_entropy(logits - scale * margin * own, target, class_weights)


def margin_at(update: int, total: int, margin: float, warmup: float) -> float:
    """Margin of an update: from 0, linearly, to m after a share of all updates.

    Args:
        update: Updates made before it.
        total: Updates of the whole phase.
        margin: m.
        warmup: Share of total in [0, 1] that the rise takes.
    """
    return margin * min(1.0, update / (total * warmup)) if warmup else margin
