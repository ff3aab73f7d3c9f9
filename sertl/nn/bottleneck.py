# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Bottleneck adapter (Houlsby et al., "Parameter-Efficient Transfer Learning for NLP", 2019)."""

import torch
from torch import nn


class Bottleneck(nn.Module):
    """x + W_u ReLU(W_d x + b_d) + b_u, with W_u and b_u zero: the identity at the start.

    Args:
        size: D.
        width: m, of the layer between.

    Raises:
        ValueError: If width is not a positive whole number.
    """

    def __init__(self, size: int, width: int):
        super().__init__()
        if type(width) is not int or width < 1:
            raise ValueError(f"width is {width!r}, expected a whole number of at least 1")
        self.down = nn.Linear(size, width)
        self.up = nn.Linear(width, size)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., D) -> (..., D)."""
        return x + self.up(torch.relu(self.down(x)))
