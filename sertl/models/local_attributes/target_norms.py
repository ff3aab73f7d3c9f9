# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""How the teacher's frames get zero mean and unit variance before they are clustered and regressed.

Over an utterance, which removes what does not change within it, emotion for the most part; over a
frame's dimensions; or over the corpus, which removes neither.
"""

import torch
from torch import nn
from torch.nn import functional as F

from sertl.models.local_attributes.online_clusters import sum_over_processes


class UtteranceNorm(nn.Module):
    """Each dimension over the utterance's frames."""

    def forward(self, frames: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """frames (B, T, D), mask (B, T) True at real frames -> (B, T, D), zero at padding."""
        return instance_norm(frames, mask)

    def after_step(self) -> None:
        """Nothing to move."""


class FrameNorm(UtteranceNorm):
    """Each frame over its dimensions."""

    def forward(self, frames: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """As UtteranceNorm."""
        return frame_norm(frames, mask)


class CorpusNorm(UtteranceNorm):
    """Each dimension by mean and variance over all frames, as batch normalisation has them.

    In training those of the micro-batch at hand, or, of a lone utterance, the moving averages; in
    evaluation the averages. The averages lag behind a teacher that moves. In training that feeds
    itself: all targets hold the lag, the student moves towards it, the teacher follows, and in the
    end all frames share one cluster.

    Args:
        size: D.
        decay: Of the averages, per update; the first update sets them.
    """

    def __init__(self, size: int, decay: float = 0.9):
        super().__init__()
        self.decay = decay
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("var", torch.ones(size))
        self.register_buffer("known", torch.zeros(()))
        # Of the micro-batches since the last update; empty whenever a checkpoint is written.
        self.register_buffer("new", torch.zeros(3, size), persistent=False)

    @torch.no_grad()
    def forward(self, frames: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """As UtteranceNorm; in training mode the frames are counted for the averages.

        Before the first update, where nothing was fitted, a batch is always normed by itself.
        """
        frames = frames.float()
        sums = _sums(frames[mask])
        if self.training:
            self.new += sums
        by_itself = self.training and mask.any(dim=1).sum() > 1
        mean, var = (self.mean, self.var) if self.known and not by_itself else _moments(sums)
        normed = (frames - mean) * (var + 1e-5).rsqrt()
        return normed.masked_fill(~mask[:, :, None], 0.0)

    @torch.no_grad()
    def fit(self, frames: torch.Tensor) -> torch.Tensor:
        """Take mean and variance of frames (N, D), and return these normed."""
        frames = frames.float().to(self.mean.device)
        self._move(_sums(frames), 0.0)
        return (frames - self.mean) * (self.var + 1e-5).rsqrt()

    def _move(self, sums: torch.Tensor, decay: float) -> None:
        mean, var = _moments(sums)
        self.mean.lerp_(mean, 1.0 - decay)
        self.var.lerp_(var, 1.0 - decay)
        self.known.fill_(1.0)

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the averages; every process must call it."""
        sum_over_processes(self.new)
        if self.new[0, 0] > 0:
            self._move(self.new, self.decay if self.known else 0.0)
        self.new.zero_()


def _sums(frames: torch.Tensor) -> torch.Tensor:
    """(N, D) -> (3, D): number, sum and sum of squares."""
    total = frames.sum(dim=0)
    return torch.stack([torch.full_like(total, len(frames)), total, frames.square().sum(dim=0)])


def _moments(sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    count, total, squares = sums
    mean = total / count.clamp_min(1.0)
    return mean, (squares / count.clamp_min(1.0) - mean.square()).clamp_min(0.0)


def instance_norm(frames: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Give each dimension zero mean and unit variance over an utterance's real frames.

    Args:
        frames: (B, T, D), finite at padding.
        mask: (B, T) bool, True at real frames.

    Returns:
        (B, T, D) float32, zero at padding.
    """
    weights = mask / mask.sum(dim=1, keepdim=True).clamp_min(1)  # (B, T)
    frames = frames.float()
    centred = frames - torch.einsum("bt,btd->bd", weights, frames)[:, None]
    variance = torch.einsum("bt,btd->bd", weights, centred.square())
    return (centred * (variance + 1e-5).rsqrt()[:, None]).masked_fill(~mask[:, :, None], 0.0)


def frame_norm(frames: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Give each real frame zero mean and unit variance over its dimensions; as instance_norm."""
    normed = F.layer_norm(frames.float(), frames.shape[-1:])
    return normed.masked_fill(~mask[:, :, None], 0.0)


TARGET_NORMS = {"utterance": UtteranceNorm, "frame": FrameNorm, "corpus": CorpusNorm}
