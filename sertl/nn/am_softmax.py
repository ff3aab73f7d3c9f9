# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Additive-margin softmax: classes as directions, told apart by a margin of the cosine.

Wang et al., "Additive Margin Softmax for Face Verification", IEEE Signal Processing Letters 2018.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from sertl.nn.losses import CLASS_LOSSES, ClassLoss, cross_entropy
from sertl.schema.strict import Number, Positive, Share


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

    @property
    def constant(self) -> float:
        """What must stand beside logits for their cosines to be these again (linear_start.py)."""
        return self.scale

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, C) float32, in [-s, s]."""
        with torch.autocast(vectors.device.type, enabled=False):  # s would magnify the rounding
            unit = F.normalize(vectors.float(), dim=1)
            return self.scale * (unit @ F.normalize(self.weight.float(), dim=1).T)


@CLASS_LOSSES.register("am_softmax")
class AMSoftmax(ClassLoss):
    """Cross-entropy after s * m was taken off the true class: cos_y must lead by the margin.

    The decision is the largest cosine, without margin. In evaluation the margin is the final one,
    whatever the warm-up.

    Args:
        class_weights: See ClassLoss.
        scale: s.
        margin: m, 0 for cross-entropy of scaled cosines.
        margin_warmup: Share of all updates over which the margin rises from 0.
    """

    def __init__(
        self,
        class_weights: Sequence[float] | None = None,
        scale: Positive = 30.0,
        margin: Number = 0.2,
        margin_warmup: Share = 0.0,
    ):
        super().__init__(class_weights)
        if not 0.0 <= margin <= 2.0:
            raise ValueError(f"margin of a cosine must be in [0, 2], got {margin}")
        if not 0.0 <= margin_warmup <= 1.0:
            raise ValueError(f"margin_warmup must be in [0, 1], got {margin_warmup}")
        self.scale, self.margin, self.margin_warmup = scale, margin, margin_warmup
        self.register_buffer("margin_now", torch.tensor(0.0 if margin_warmup else margin))

    def last_layer(self, input_size: int, classes: int) -> nn.Module:
        return CosineHead(input_size, classes, self.scale)

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> tuple:
        margin = float(self.margin_now) if self.training else self.margin
        own = F.one_hot(target.clamp_min(0), logits.shape[1])  # (B, C)
        return cross_entropy(logits - self.scale * margin * own, target, self.class_weights)

    def begin(self) -> None:
        self.after_step(0, 1)

    def after_step(self, update: int, total: int) -> None:
        self.margin_now.fill_(margin_at(update, total, self.margin, self.margin_warmup))


def margin_at(update: int, total: int, margin: float, warmup: float) -> float:
    """Margin of an update: from 0, linearly, to m after a share of all updates.

    Args:
        update: Updates made before it.
        total: Updates of the whole phase.
        margin: m.
        warmup: Share of total in [0, 1] that the rise takes.
    """
    return margin * min(1.0, update / (total * warmup)) if warmup else margin
