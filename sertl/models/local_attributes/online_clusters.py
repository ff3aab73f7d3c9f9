# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Online clustering of frames: centroids that are moving averages of their frames."""

import torch
from torch import distributed as dist
from torch import nn


class OnlineClusters(nn.Module):
    """K centroids c_k = s_k / n_k, with s and n moving averages of the frames' sum and number.

    `add` collects frames and their labels, in training mode only; `update` moves the centroids
    that got frames and leaves the others. All buffers are float32 whatever the frames are.

    Args:
        size: D.
        number: K.
        decay: gamma; s_k <- gamma s_k + (1 - gamma) * sum of the new frames, and so n_k.
        patience: Updates without a frame after which a centroid is dead and starts anew, beside
            the one that has most frames; 0: never.

    Source:
        Liu et al., "DinoSR", NeurIPS 2023, and its code: Gaussian start standardised over k.
    """

    def __init__(self, size: int, number: int, decay: float = 0.9, patience: int = 0):
        super().__init__()
        if number < 2:
            raise ValueError(f"online clustering needs at least 2 centroids, got {number}")
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"cluster_decay must be in [0, 1), got {decay}")
        self.decay, self.patience = decay, patience
        start = torch.randn(number, size)
        start = (start - start.mean(dim=0)) / start.std(dim=0, correction=0)
        self.register_buffer("sums", start)
        self.register_buffer("counts", torch.ones(number))
        self.register_buffer("idle", torch.zeros(number))  # updates since the last frame
        # Of the micro-batches since the last update; empty whenever a checkpoint is written.
        self.register_buffer("new_sums", torch.zeros(number, size), persistent=False)
        self.register_buffer("new_counts", torch.zeros(number), persistent=False)

    def centroids(self) -> torch.Tensor:
        """(K, D)."""
        return self.sums / self.counts[:, None]

    @torch.no_grad()
    def set(self, centroids: torch.Tensor) -> None:
        """Put centroids (K, D) in place, each counting as one frame."""
        self.sums.copy_(centroids)
        self.counts.fill_(1.0)
        self.idle.zero_()

    @torch.no_grad()
    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Label frames with their nearest centroids: (N, D) float32 -> (N,) int64."""
        centroids = self.centroids()
        # |y - c|^2 without |y|^2, which is the same for every centroid
        return (centroids.square().sum(dim=1) - 2.0 * frames @ centroids.T).argmin(dim=1)

    @torch.no_grad()
    def add(self, frames: torch.Tensor, labels: torch.Tensor) -> None:
        """Collect frames (N, D) and their labels (N,) for the next update; not in evaluation."""
        if not self.training:
            return
        self.new_sums.index_add_(0, labels, frames.float())
        self.new_counts.index_add_(0, labels, torch.ones_like(labels, dtype=torch.float32))

    @torch.no_grad()
    def update(self) -> None:
        """Move the centroids that got frames, in any process; every process must call it."""
        sum_over_processes(self.new_sums, self.new_counts)
        got = self.new_counts > 0
        self.sums[got] = self.sums[got].lerp(self.new_sums[got], 1.0 - self.decay)
        self.counts[got] = self.counts[got].lerp(self.new_counts[got], 1.0 - self.decay)
        self.new_sums.zero_()
        self.new_counts.zero_()
        self.idle = torch.where(got, 0.0, self.idle + 1.0)
        if self.patience:
            self._revive()

    def _revive(self) -> None:
        """Put dead centroids beside those with most frames, whose frames they share from now on.

        The step away from there follows from the numbers alone, so all processes agree.
        """
        dead = (self.idle >= self.patience).nonzero()[:, 0]
        largest = self.counts.argsort(descending=True)
        for number, code in enumerate(dead[: len(largest) // 2].tolist()):
            source = int(largest[number])
            generator = torch.Generator().manual_seed(code)
            step = torch.randn(self.sums.shape[1], generator=generator).to(self.sums.device)
            centre = self.sums[source] / self.counts[source]
            self.counts[source] /= 2
            self.sums[source] /= 2
            self.counts[code] = self.counts[source]
            self.sums[code] = (centre + 0.01 * centre.abs().mean() * step) * self.counts[code]
            self.idle[code] = 0.0


def sum_over_processes(*tensors: torch.Tensor) -> None:
    """Replace each tensor by its sum over processes, in place and in one message.

    Every process must call it, with tensors of the same shapes, type and device.
    """
    if not dist.is_initialized():
        return
    flat = torch.cat([t.reshape(-1) for t in tensors])
    dist.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))
