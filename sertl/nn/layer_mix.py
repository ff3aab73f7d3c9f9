# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Softmax-weighted sum of hidden layers (Yang et al., SUPERB, Interspeech 2021)."""

import torch
from torch import nn


class LayerMix(nn.Module):
    """h = sum_l softmax(a)_l H^(l), with a = 0 at the start: the plain average.

    Args:
        num_layers: L.
    """

    def __init__(self, num_layers: int):
        super().__init__()
        if num_layers > 1:
            self.scores = nn.Parameter(torch.zeros(num_layers))
        else:  # nothing to learn
            self.register_buffer("scores", torch.zeros(1), persistent=False)

    def weights(self) -> torch.Tensor:
        """(L,) weights, positive, summing to 1."""
        return torch.softmax(self.scores.float(), dim=0)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(B, L, ..., D) -> (B, ..., D).

        Raises:
            ValueError: If the number of layers is not the one the mix was built for.
        """
        if hidden.shape[1] != len(self.scores):
            raise ValueError(f"got {hidden.shape[1]} layers, built for {len(self.scores)}")
        if hidden.shape[1] == 1:
            return hidden[:, 0]
        flat = hidden.flatten(2)  # (B, L, T * D)
        weights = self.weights().to(flat.dtype)
        if not self.training:  # a traced graph keeps the number of utterances open only like this
            return torch.matmul(weights, flat).view_as(hidden[:, 0])
        # One product per utterance reads every layer once, where it lies: a loop of additions would
        # write each partial sum to memory, and torch.matmul of a vector turns a copy around.
        return torch.bmm(weights.expand(len(flat), 1, -1), flat).view_as(hidden[:, 0])
