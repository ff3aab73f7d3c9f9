# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Diagnostics of targets that a model makes itself: are clusters used, do frames still differ?"""

from collections.abc import Mapping

import torch
from torch import nn

from sertl.models.local_attributes.online_clusters import sum_over_processes

FIGURES = (
    "perplexity",
    "predicted_perplexity",
    "used_share",
    "teacher_spread",
    "teacher_utt_spread",
    "mask_accuracy",
)


def measure(
    teacher: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor, number: int
) -> dict[str, torch.Tensor]:
    """Sums over a micro-batch, float64, from which `figures` are made; sums add up over batches.

    Args:
        teacher: (B, T, D) frames before any norm.
        mask: (B, T) bool, frames that count.
        labels: (N,) centroids of these frames, in the order of teacher[mask].
        number: K.
    """
    double = teacher.double().masked_fill(~mask[:, :, None], 0.0)
    lens = mask.sum(dim=1)  # (B,)
    means = double.sum(dim=1)[lens > 0] / lens[lens > 0, None]  # (U, D)
    return {
        "labels": torch.bincount(labels, minlength=number).double(),  # (K,)
        "predicted": torch.zeros(number, dtype=torch.float64, device=teacher.device),  # (K,)
        "frames": double.sum(dim=(0, 1)),  # (D,)
        "frame_squares": double.square().sum(dim=(0, 1)),
        "means": means.sum(dim=0),
        "mean_squares": means.square().sum(dim=0),
        "utts": (lens > 0).sum().double().reshape(1),
        "hits": torch.zeros(1, dtype=torch.float64, device=teacher.device),
        "masked": torch.zeros(1, dtype=torch.float64, device=teacher.device),
    }


@torch.no_grad()
def measure_prediction(
    sums: dict[str, torch.Tensor], logits: torch.Tensor, labels: torch.Tensor
) -> None:
    """Add what was predicted, logits (M, K), for masked frames with these labels (M,)."""
    sums["predicted"] += torch.softmax(logits.float(), dim=1).sum(dim=0).double()
    sums["hits"] += (logits.argmax(dim=1) == labels).sum()
    sums["masked"] += len(labels)


def figures(sums: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """FIGURES, float32 scalars.

    Perplexities lie between 1 (one centroid for all) and K; the spreads are standard deviations,
    over frames and over the means of utterances, averaged over dimensions.
    """
    labels, count = sums["labels"], sums["labels"].sum().clamp_min(1)
    values = {
        "perplexity": _perplexity(labels),
        "predicted_perplexity": _perplexity(sums["predicted"]),
        "used_share": (labels > 0).double().mean(),
        "teacher_spread": _spread(sums["frames"], sums["frame_squares"], count),
        "teacher_utt_spread": _spread(
            sums["means"], sums["mean_squares"], sums["utts"].clamp_min(1)
        ),
        "mask_accuracy": (sums["hits"] / sums["masked"].clamp_min(1)).squeeze(),
    }
    return {name: value.float() for name, value in values.items()}


def _perplexity(counts: torch.Tensor) -> torch.Tensor:
    share = counts / counts.sum().clamp_min(1e-12)
    return torch.special.entr(share).sum().exp()


def _spread(total: torch.Tensor, squares: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    variance = squares / count - (total / count).square()  # float64: no harm in cancelling
    return variance.clamp_min(0).sqrt().mean()


class Window(nn.Module):
    """Collects sums over many updates; saved with the model so that a resume goes on exactly.

    Args:
        size: D.
        number: K.
        updates: Updates that a window spans at least.
        frames: Frames that a window spans at least.
    """

    def __init__(self, size: int, number: int, updates: int = 100, frames: int = 2000):
        super().__init__()
        self.updates, self.frames = updates, frames
        frame, mask = torch.zeros(1, 1, size), torch.ones(1, 1, dtype=torch.bool)
        example = measure(frame, mask, torch.zeros(1, dtype=torch.int64), number)
        self.sizes = {name: len(value) for name, value in example.items()}
        total = torch.zeros(sum(self.sizes.values()), dtype=torch.float64)
        self.register_buffer("sums", total)
        # Of this process since the last update; empty whenever a checkpoint is written.
        self.register_buffer("new_sums", total.clone(), persistent=False)
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("latest", torch.zeros(len(FIGURES)))

    @torch.no_grad()
    def add(self, sums: Mapping[str, torch.Tensor]) -> None:
        """Add a micro-batch, as measured."""
        self.new_sums += torch.cat([sums[name] for name in self.sizes])

    @torch.no_grad()
    def after_step(self) -> dict[str, float]:
        """FIGURES of the window if this update ends it, over all processes; else {}.

        Every process must call it.
        """
        sum_over_processes(self.new_sums)
        self.sums += self.new_sums
        self.new_sums.zero_()
        self.num_updates += 1
        parts = self.sums.split(list(self.sizes.values()))
        window = dict(zip(self.sizes, parts, strict=True))
        if self.num_updates < self.updates or window["labels"].sum() < self.frames:
            return {}
        found = figures(window)
        self.latest.copy_(torch.stack([found[name] for name in FIGURES]))
        self.sums.zero_()
        self.num_updates.zero_()
        return self.figures()

    def figures(self) -> dict[str, float]:
        """Those of the latest window that ended; {} before the first."""
        if self.latest[0] == 0:  # a perplexity is never below 1
            return {}
        return dict(zip(FIGURES, self.latest.tolist(), strict=True))
