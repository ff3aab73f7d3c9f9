# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Utterance-level heads: a vector per utterance -> logits or dimensional values."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from sertl.nn.linear_start import read_map, with_constant, write_map

Activation = Literal["none", "relu", "gelu", "tanh"]
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

    def start(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Begin as a linear map, (output_size, D) and (output_size,), of the first D inputs.

        Raises:
            ValueError: If the layers cannot be one: tanh, too narrow, or a last layer of cosines
                without a layer before it.
        """
        first, last = self.layers[0], self.layers[-1]
        if len(self.layers) == 1:
            if not isinstance(last, nn.Linear):
                raise ValueError("start=solved: this loss's last layer needs a hidden layer first")
            write_map(last, weight, bias, sign=False)
            return
        activation = type(self.layers[1])
        if activation is nn.Tanh:
            raise ValueError("start=solved: a tanh cannot be linear; use none, relu or gelu")
        sign = activation is not nn.Identity
        constant = getattr(last, "constant", None)
        if constant is not None:
            longer = 2**0.5 if sign else 1.0  # the class's axis is then (1, -1), made a unit
            weight, bias = with_constant(longer * weight, longer * bias, constant)
        write_map(first, weight, bias, sign)
        read_map(last, len(bias), sign)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, output_size)."""
        return self.layers(vectors)
