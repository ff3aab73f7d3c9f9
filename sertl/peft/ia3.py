# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Learned factors on the units of a linear layer (Liu et al., "IA3", NeurIPS 2022)."""

import torch
from torch import nn

from sertl.peft.derived_linear import derive
from sertl.peft.slots import peft_module
from sertl.upstream.blocks import Block


class Factors(nn.Module):
    """One factor per output or per input of a linear layer, folded into its weight; 1 at the start.

    Args:
        size: Number of outputs or inputs.
        inputs: True: the inputs are scaled (the hidden units of a feed-forward layer, seen from the
            matrix that reads them). False: the outputs, bias included (keys and values).
    """

    def __init__(self, size: int, inputs: bool):
        super().__init__()
        self.inputs = inputs
        self.factor = nn.Parameter(torch.ones(size))

    def on_weight(self, weight: torch.Tensor) -> torch.Tensor:
        """(O, I) -> (O, I)."""
        return weight * (self.factor if self.inputs else self.factor[:, None])

    def apply_to(self, linear: nn.Linear, x: torch.Tensor) -> None:
        """No shorter way than by the weight."""

    def on_bias(self, bias: torch.Tensor) -> torch.Tensor:
        """(O,) -> (O,)."""
        return bias if self.inputs else bias * self.factor


@peft_module("ia3", order=2)
def put_ia3(block: Block) -> None:
    """Factors on keys, values and the hidden units of the feed-forward part."""
    for linear, size, inputs in (
        (block.linears["k"], block.linears["k"].out_features, False),
        (block.linears["v"], block.linears["v"].out_features, False),
        (block.ffn_out, block.ffn_out.in_features, True),
    ):
        derive(linear, "ia3", Factors(size, inputs))
