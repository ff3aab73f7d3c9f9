# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Adapter of one task between the pooling and its classifier."""

import torch
from torch import nn


class TaskAdapter(nn.Module):
    """W_2 ReLU(W_1 x + b_1) + b_2 without a residual, so that all tasks' outputs compare.

    Args:
        size: D of the pooled vectors.
        width: n, of the hidden layer and of the output.

    Source:
        Gao et al., ICASSP 2024, pp. 11316-11320; layers and width are our choice.
    """

    def __init__(self, size: int, width: int = 256):
        super().__init__()
        self.down = nn.Linear(size, width)
        self.out = nn.Linear(width, width)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, n)."""
        return self.out(torch.relu(self.down(vectors)))
