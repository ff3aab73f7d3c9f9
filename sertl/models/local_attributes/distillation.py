# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a student learns from a teacher's frames: regression of them, or soft attributes."""

import torch
from torch import nn
from torch.nn import functional as F

from sertl.models.local_attributes.ema import ema_copy, ema_update
from sertl.models.local_attributes.online_clusters import sum_over_processes


class RegressFrames(nn.Module):
    """Smooth L1 between a linear map of the student's frames and the teacher's, normed.

    Args:
        size: D.
    """

    def __init__(self, size: int):
        super().__init__()
        self.student_head = nn.Linear(size, size)

    def forward(
        self, student: torch.Tensor, raw: torch.Tensor, normed: torch.Tensor, progress: float
    ) -> torch.Tensor:
        """Mean over frames and dimensions; 0 without frames.

        Args:
            student: (N, D) frames.
            raw: (N, D) of the teacher; not used here.
            normed: (N, D) of the teacher after instance_norm.
            progress: Share of all updates done; not used here.
        """
        total = F.smooth_l1_loss(self.student_head(student).float(), normed, reduction="sum")
        return total / max(1, normed.numel())

    def after_step(self, momentum: float) -> None:
        """Nothing to move."""


class SoftAttributes(nn.Module):
    """Cross-entropy between the distributions that student and teacher give K attributes.

    q = softmax((g_t(Y) - c) / tau_t), p = softmax(g_s(Z) / tau_s); g_t is the EMA of g_s, and c the
    moving average of g_t(Y): without it one attribute would win everywhere.

    Args:
        size: D.
        number: K.
        student_temperature: tau_s.
        teacher_temperatures: tau_t at the start and from 30 % of all updates on, linear between.
        centre_decay: Of c.

    Source:
        Caron et al., "Emerging properties in self-supervised vision transformers", ICCV 2021
        (DINO).
    """

    WARMUP = 0.3  # share of all updates

    def __init__(
        self,
        size: int,
        number: int,
        student_temperature: float = 0.1,
        teacher_temperatures: tuple[float, float] = (0.04, 0.07),
        centre_decay: float = 0.9,
    ):
        super().__init__()
        self.student_temperature = student_temperature
        self.teacher_temperatures = tuple(teacher_temperatures)
        self.centre_decay = centre_decay
        self.student_head = nn.Linear(size, number)
        self.teacher_head = ema_copy(self.student_head)
        self.register_buffer("centre", torch.zeros(number))
        # Of the micro-batches since the last update; empty whenever a checkpoint is written.
        self.register_buffer("new_sum", torch.zeros(number), persistent=False)
        self.register_buffer("new_count", torch.zeros(1), persistent=False)

    def teacher_temperature(self, progress: float) -> float:
        """tau_t after this share of all updates."""
        first, last = self.teacher_temperatures
        return first + (last - first) * min(1.0, progress / self.WARMUP)

    def forward(
        self, student: torch.Tensor, raw: torch.Tensor, normed: torch.Tensor, progress: float
    ) -> torch.Tensor:
        """Mean over frames; 0 without frames. Arguments as RegressFrames; normed is not used."""
        with torch.no_grad(), torch.autocast(raw.device.type, enabled=False):
            scores = self.teacher_head(raw.float())  # (N, K)
            temperature = self.teacher_temperature(progress)
            target = torch.softmax((scores - self.centre) / temperature, dim=1)
            if self.training:
                self.new_sum += scores.sum(dim=0)
                self.new_count += len(scores)
        scores = self.student_head(student).float() / self.student_temperature
        total = -(target * F.log_softmax(scores, dim=1)).sum()
        return total / max(1, len(target))

    @torch.no_grad()
    def after_step(self, momentum: float) -> None:
        """Move the teacher's head and the centre; every process must call it."""
        ema_update(self.teacher_head, self.student_head, momentum)
        sum_over_processes(self.new_sum, self.new_count)
        if self.new_count > 0:
            self.centre.lerp_(self.new_sum / self.new_count, 1.0 - self.centre_decay)
        self.new_sum.zero_()
        self.new_count.zero_()


DISTILLATIONS = {"none": None, "regress": RegressFrames, "soft": SoftAttributes}
