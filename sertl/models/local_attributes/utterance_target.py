# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A target for the utterance beside those for its frames: what they have in common stays."""

import torch
from torch import nn
from torch.nn import functional as F

from sertl.models.local_attributes.target_norms import CorpusNorm
from sertl.nn.pooling import weighted_mean


class UtteranceTarget(nn.Module):
    """Smooth L1 between a linear map of the student's mean frame and the teacher's.

    The teacher's means are standardised over the corpus: an utterance's own would be zero.

    Args:
        size: D.
        weight: Of the loss.

    Source:
        The utterance-level loss of emotion2vec (Ma et al., Findings of ACL 2024), with a mean in
        the place of utterance tokens.
    """

    def __init__(self, size: int, weight: float):
        super().__init__()
        self.weight = weight
        self.student_head = nn.Linear(size, size)
        self.norm = CorpusNorm(size)

    def forward(
        self, student: torch.Tensor, raw: torch.Tensor, valid: torch.Tensor
    ) -> torch.Tensor:
        """Mean over utterances and dimensions.

        Args:
            student: (N, D) frames that count.
            raw: (B, T, D) of the teacher.
            valid: (B, T) bool, which of these count.
        """
        frames = student.new_zeros(*valid.shape, student.shape[1])
        frames[valid] = student
        counts = valid.sum(dim=1)
        kept = counts > 0
        weights = (valid / counts.clamp_min(1)[:, None])[kept]
        own = self.student_head(weighted_mean(frames[kept], weights))
        with torch.no_grad():
            means = weighted_mean(raw[kept], weights)[:, None]
            target = self.norm(means, torch.ones_like(means[..., 0], dtype=torch.bool))[:, 0]
        return F.smooth_l1_loss(own.float(), target) if kept.any() else own.sum()

    def after_step(self) -> None:
        """Move the corpus's statistics."""
        self.norm.after_step()
