# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Utterance-level losses. Each ignores utterances without the label and says how many it counted.

A loss returns (value, weight): the mean over what it counted and the sum of weights behind that
mean. The training loop adds value * weight over micro-batches and processes and divides by the
total weight, so cutting a batch into pieces changes nothing; except for rmse, of which pieces give
the mean of their roots, and ccc, for which batches are not cut (train/settings.py).

A loss of classes is a module registered in CLASS_LOSSES, and every classifier offers all of them
(model_conf.loss, loss_conf); a loss of values is a function registered in VALUE_LOSSES. Both may
stand in any file of this folder.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from sertl.registry import Registry

CLASS_LOSSES: Registry[type["ClassLoss"]] = Registry("loss", "sertl.nn")
VALUE_LOSSES: Registry[Callable] = Registry("vad_loss", "sertl.nn")


class ClassLoss(nn.Module):
    """Base of the losses of classes: the loss, and the last layer that belongs to it.

    Args:
        class_weights: C weights, or None for 1.
    """

    def __init__(self, class_weights: Sequence[float] | None = None):
        super().__init__()
        weights = None if class_weights is None else torch.tensor(class_weights)
        self.register_buffer("class_weights", weights, persistent=False)

    def last_layer(self, input_size: int, classes: int) -> nn.Module:
        """(B, input_size) -> (B, classes) logits, of which the largest is the decision."""
        return nn.Linear(input_size, classes)

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> tuple:
        """Mean and weight; logits (B, C), target (B,) int64, -1 where the label is missing."""
        raise NotImplementedError

    def on(self, logits: torch.Tensor, batch) -> tuple:
        """forward on the emotions of a batch."""
        return self(logits, batch.emo)

    def begin(self) -> None:
        """Called before the first update of a phase, whatever the weights come from."""

    def after_step(self, update: int, total: int) -> None:
        """Called after each of total updates."""


def cross_entropy(
    logits: torch.Tensor, target: torch.Tensor, class_weights: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy over the utterances that have a label.

    Args:
        logits: (B, C).
        target: (B,) int64, -1 where the label is missing.
        class_weights: (C,) or None.

    Returns:
        Weighted mean loss (0 if no utterance has a label) and the sum of weights, both scalars.
    """
    weight = torch.ones(logits.shape[1], device=logits.device)
    if class_weights is not None:
        weight = class_weights.to(logits.device)
    total = F.cross_entropy(logits.float(), target, weight=weight, ignore_index=-1, reduction="sum")
    present = target >= 0
    count = (weight[target.clamp_min(0)] * present).sum()
    return total / count.clamp_min(1e-12), count


@CLASS_LOSSES.register("votes")
class VoteLoss(ClassLoss):
    """Divergence from the raters' distribution to the model's, KL(votes || model); where raters are
    not known, from the label alone, which is the cross-entropy.

    Args:
        class_weights: Of each class's part of the sum.
        smooth: Raters that every class is given beside the real ones, as a share of these.

    Source:
        Fayek, Lech, Cavedon, "Modeling subjectiveness in emotion recognition with deep neural
        networks: Ensembles vs soft labels", IJCNN 2016.
    """

    def __init__(
        self,
        class_weights: Sequence[float] | None = None,
        *,
        smooth: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0,
    ):
        super().__init__(class_weights)
        self.smooth = smooth

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> tuple:
        return cross_entropy(logits, target, self.class_weights)

    def on(self, logits: torch.Tensor, batch) -> tuple:
        if batch.votes is None:
            return self(logits, batch.emo)
        classes = logits.shape[1]
        known = batch.votes.isfinite().all(dim=1)  # (B,)
        alone = F.one_hot(batch.emo.clamp_min(0), classes).float()
        shares = torch.where(known[:, None], batch.votes.nan_to_num(), alone)  # (B, C)
        shares = (shares + self.smooth / classes) / (1.0 + self.smooth)
        weight = logits.new_ones(classes) if self.class_weights is None else self.class_weights
        counted = (known | (batch.emo >= 0)).float()  # (B,)
        weights = counted[:, None] * shares * weight.to(logits.device)  # (B, C)
        gap = torch.xlogy(shares, shares).nan_to_num() - shares * logits.float().log_softmax(dim=1)
        total = (counted[:, None] * weight.to(logits.device) * gap).sum()
        count = weights.sum()
        return total / count.clamp_min(1e-12), count


@CLASS_LOSSES.register("ce")
class CrossEntropy(ClassLoss):
    """Cross-entropy."""

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> tuple:
        return cross_entropy(logits, target, self.class_weights)


@VALUE_LOSSES.register("rmse")
def rmse(pred: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean over attributes of the root mean squared error over utterances.

    Args:
        pred: (B, A).
        target: (B, A), NaN rows where missing; same unit as pred.

    Source:
        1e-7 inside the root keeps the gradient finite at a perfect prediction, as in the code of
        Lashkarashvili et al., ICASSP 2024.
    """
    present = ~target.isnan().any(dim=1)
    count = present.sum()
    error = torch.where(present[:, None], pred.float() - target, 0.0).square().sum(dim=0)
    value = (error / count.clamp_min(1) + 1e-7).sqrt().mean()
    return value * (count > 0), count.float()


@VALUE_LOSSES.register("ccc")
def ccc_loss(pred: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """1 - CCC, averaged over attributes; population statistics over the micro-batch.

    Args:
        pred: (B, A).
        target: (B, A), NaN rows where missing.
    """
    present = ~target.isnan().any(dim=1)
    count = present.sum()
    x, y = pred.float()[present], target[present]  # (N, A)
    if len(x) < 2:
        return (pred * 0.0).sum(), count.float() * 0.0
    dx, dy = x - x.mean(dim=0), y - y.mean(dim=0)
    covariance = (dx * dy).mean(dim=0)
    spread = dx.square().mean(dim=0) + dy.square().mean(dim=0)
    ccc = 2 * covariance / (spread + (x.mean(dim=0) - y.mean(dim=0)).square() + 1e-7)
    return (1 - ccc).mean(), count.float()
