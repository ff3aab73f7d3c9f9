# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Start a head of several layers as a given linear map, whatever stands between.

Units that the map does not need keep their random weights, but the layer after them reads them
with weight 0 at first: nothing of them shows in the first prediction, and all of them can learn.

Source:
    Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform
    Out-of-Distribution", ICLR 2022 (LP-FT): solve the head first, then tune.
"""

import torch
from torch import nn


class Standardise(nn.Module):
    """(x - mean) / std of every dimension; without statistics, x as it is.

    Args:
        size: D.
    """

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def set(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Take statistics, (D',) each, of the first D' dimensions."""
        self.mean[: len(mean)] = mean
        self.std[: len(std)] = std

    @property
    def known(self) -> bool:
        """Whether there are statistics."""
        return bool((self.std != 1).any())

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, D)."""
        return (vectors - self.mean) / self.std


@torch.no_grad()
def write_map(
    layer: nn.Linear, weight: torch.Tensor, bias: torch.Tensor, sign: bool, first: int = 0
) -> None:
    """Make some units of a layer compute a map; with sign also its negative, in as many more.

    Args:
        layer: Of at least first + C units, first + 2C with sign.
        weight: (C, D'), D' at most the layer's inputs; further inputs are read with weight 0.
        bias: (C,).
        sign: For a layer before an activation: relu(x) - relu(-x) = x, and so with gelu.
        first: Of the units.

    Raises:
        ValueError: If the layer is too narrow.
    """
    if sign:
        weight, bias = torch.cat([weight, -weight]), torch.cat([bias, -bias])
    count, size = weight.shape
    if first < 0 or layer.out_features < first + count or layer.in_features < size:
        raise ValueError(
            f"a layer of {layer.in_features} inputs and {layer.out_features} units cannot start as "
            f"a map of {size} inputs and {count} units; make it wider, or start=random"
        )
    layer.weight[first : first + count] = 0.0
    layer.weight[first : first + count, :size] = weight
    layer.bias[first : first + count] = bias


@torch.no_grad()
def read_map(
    layer: nn.Module, count: int, sign: bool, first: int = 0, rows: int | None = None
) -> None:
    """Make a layer hand on what some units of the one before compute (write_map).

    Args:
        layer: nn.Linear, or another with a `weight` (C', D) and perhaps a `bias`.
        count: C of the map.
        sign, first: As in write_map.
        rows: How many units hand it on, the first ones; None for all.
    """
    rows = layer.weight.shape[0] if rows is None else rows
    layer.weight[:rows] = 0.0
    layer.weight[:rows, first : first + count] = torch.eye(rows, count)
    if sign:
        layer.weight[:rows, first + count : first + 2 * count] = -torch.eye(rows, count)
    if getattr(layer, "bias", None) is not None:
        layer.bias[:rows] = 0.0


def with_constant(
    weight: torch.Tensor, bias: torch.Tensor, constant: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """A map with one more output that is always `constant`: (C + 1, D) and (C + 1,).

    Before a layer of scaled cosines: s * cos of (x, s) with the axis of x_c is x_c up to the factor
    s / |(x, s)|, the same for all classes, which is near 1 where logits are small beside s.
    """
    weight = torch.cat([weight, weight.new_zeros(1, weight.shape[1])])
    return weight, torch.cat([bias, bias.new_tensor([constant])])
