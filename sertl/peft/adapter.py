# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Bottleneck adapter (Houlsby et al., "Parameter-Efficient Transfer Learning for NLP", 2019)."""

from functools import partial
from typing import Literal

import torch
from torch import nn

from sertl.peft.slots import keep, on_output, peft_module
from sertl.schema.strict import Size
from sertl.upstream.blocks import Block


class Bottleneck(nn.Module):
    """x + W_u ReLU(W_d z + b_d) + b_u, z = x or x normalised; W_u, b_u zero: the identity at first.

    Args:
        size: D.
        width: m, of the layer between.
        norm: Layer-normalise (no affine part) what the adapter reads. The residual stream of a
            pre-norm encoder holds values of hundreds in a few dimensions; read as it is, they
            decide every unit, and a small step of W_u is a large change of x.

    Raises:
        ValueError: If width is not a positive whole number.
    """

    def __init__(self, size: int, width: int, norm: bool = False):
        super().__init__()
        if type(width) is not int or width < 1:
            raise ValueError(f"width is {width!r}, expected a whole number of at least 1")
        self.norm = nn.LayerNorm(size, elementwise_affine=False) if norm else nn.Identity()
        self.down = nn.Linear(size, width)
        self.up = nn.Linear(width, size)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., D) -> (..., D)."""
        return x + self.up(torch.relu(self.down(self.norm(x))))


Place = Literal["block", "ffn"]
Norm = Literal["auto", "layer", "none"]


@peft_module("adapter", order=4)
def put_adapter(
    block: Block, *, width: Size = 64, place: Place = "block", norm: Norm = "auto"
) -> None:
    """A bottleneck on the block's output (place: block), or on its feed-forward part's (ffn).

    It reads that layer-normalised or plain; auto: normalised on the residual stream of pre-norm
    blocks, else plain.
    """
    places = {"block": block.module, "ffn": block.ffn_out}
    normed = norm == "layer" or (norm == "auto" and place == "block" and block.pre_norm)
    adapter = keep(block.module, "adapter", Bottleneck(block.size, width, normed))
    # A partial, not a closure: deepcopy then points the copy's hook at the copy's adapter.
    places[place].register_forward_hook(partial(on_output, adapter))
