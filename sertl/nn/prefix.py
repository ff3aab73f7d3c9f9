# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Learned keys and values before the real ones (Li & Liang, "Prefix-Tuning", ACL 2021)."""

import torch
from torch import nn


class Prefix(nn.Module):
    """Vectors that every frame can attend to beside the frames; nothing is added to the output.

    Drawn from N(0, 0.02^2), so that they differ: the start is near the pretrained function but not
    equal to it, as every frame gives them some of its attention.

    Args:
        size: D, over all heads.
        length: P.

    Raises:
        ValueError: If length is not a positive whole number.
    """

    def __init__(self, size: int, length: int):
        super().__init__()
        if type(length) is not int or length < 1:
            raise ValueError(f"length is {length!r}, expected a whole number of at least 1")
        self.keys = nn.Parameter(0.02 * torch.randn(length, size))
        self.values = nn.Parameter(0.02 * torch.randn(length, size))

    def forward(
        self, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T, D) each -> (B, P + T, D) each."""
        own_keys = self.keys.to(keys.dtype).expand(len(keys), -1, -1)
        own_values = self.values.to(values.dtype).expand(len(values), -1, -1)
        return torch.cat([own_keys, keys], dim=1), torch.cat([own_values, values], dim=1)
