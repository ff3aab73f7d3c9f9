# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Utterance-level heads: a vector per utterance -> logits or dimensional values."""

from collections.abc import Callable

import torch
from torch import nn

ACTIVATIONS = {"none": nn.Identity, "relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


class Head(nn.Module):
    """Linear(input, hidden), activation, dropout, last layer (hidden, output); hidden 0: the last.

    Args:
        input_size: D.
        output_size: Of the last layer.
        hidden: Width between.
        activation: A name in ACTIVATIONS.
        dropout: Before the last layer.
        last_layer: Makes it; of a classifier, that of its loss.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden: int = 256,
        activation: str = "relu",
        dropout: float = 0.0,
        last_layer: Callable[[int, int], nn.Module] = nn.Linear,
    ):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation '{activation}' is none of {sorted(ACTIVATIONS)}")
        layers: list[nn.Module] = []
        if hidden:
            layers += [
                nn.Linear(input_size, hidden),
                ACTIVATIONS[activation](),
                nn.Dropout(dropout),
            ]
        layers.append(last_layer(hidden or input_size, output_size))
        self.layers = nn.Sequential(*layers)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, output_size)."""
        return self.layers(vectors)
