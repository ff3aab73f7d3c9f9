# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Weight gating: a learned factor per dimension on the output of a block."""

from functools import partial
from typing import Literal

import torch
from torch import nn

from sertl.peft.slots import keep, on_output, peft_module
from sertl.upstream.blocks import Block

INITS = ("ones", "identity")
Start = Literal["auto", "ones", "identity"]


class Gate(nn.Module):
    """x * sigmoid(g) or x * 2 sigmoid(g), with g of D values.

    Args:
        size: D.
        init: ones: sigmoid(g) with g = 1, which scales by 0.731 at the start, as in the code of
            Lashkarashvili et al. 2024. identity: 2 sigmoid(g) with g = 0, which scales by 1.

    Raises:
        ValueError: For another init.
    """

    def __init__(self, size: int, init: str):
        super().__init__()
        if init not in INITS:
            raise ValueError(f"init is {init!r}, expected one of {INITS}")
        self.init = init
        self.gate = nn.Parameter(torch.full((size,), 1.0 if init == "ones" else 0.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., D) -> (..., D)."""
        factor = (1.0 if self.init == "ones" else 2.0) * torch.sigmoid(self.gate)
        return x * factor


@peft_module("gate", order=5)
def put_gate(block: Block, *, init: Start = "auto") -> None:
    """A factor per dimension of the block's output; auto: identity, so that the start is exact."""
    if init == "auto":
        init = "identity"
    gate = keep(block.module, "gate", Gate(block.size, init))
    block.module.register_forward_hook(partial(on_output, gate))
