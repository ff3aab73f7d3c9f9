# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Low-rank update of a weight matrix (Hu et al., "LoRA", ICLR 2022)."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from sertl.errors import unknown_name
from sertl.peft.derived_linear import derive
from sertl.peft.slots import peft_module
from sertl.upstream.blocks import Block


class LoRA(nn.Module):
    """W + (alpha / r) B A; A is Kaiming-uniform and B zero, so the start is W itself.

    Args:
        input_size: Columns of W.
        output_size: Rows of W.
        rank: r.
        alpha: Numerator of the scale. It has no default: left at 1, as in some public code, the
            update is r times smaller than with alpha = r.

    Raises:
        ValueError: If rank is not between 1 and both sizes, or alpha is not positive.
    """

    def __init__(self, input_size: int, output_size: int, rank: int, alpha: float):
        super().__init__()
        most = min(input_size, output_size)
        if type(rank) is not int or not 1 <= rank <= most:
            raise ValueError(f"rank is {rank!r}, expected a whole number from 1 to {most}")
        if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not alpha > 0:
            raise ValueError(f"alpha is {alpha!r}, expected a positive number")
        self.scale = alpha / rank
        self.a = nn.Parameter(torch.empty(rank, input_size))
        self.b = nn.Parameter(torch.zeros(output_size, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def on_weight(self, weight: torch.Tensor) -> torch.Tensor:
        """(O, I) -> (O, I)."""
        # In float32 also under autocast: a thousandth of the layer's work, and bf16 would round
        # an update that is small beside the weight.
        with torch.autocast(weight.device.type, enabled=False):
            return torch.addmm(weight, self.b, self.a, alpha=self.scale)

    def on_bias(self, bias: torch.Tensor) -> torch.Tensor:
        """The bias stays as it is."""
        return bias


TARGETS = {name: (name,) for name in ("q", "k", "v", "out")} | {"ffn": ("ffn_in", "ffn_out")}


@peft_module("lora", order=1)
def put_lora(
    block: Block, *, alpha: float, rank: int = 8, targets: Sequence[str] = ("q", "k", "v")
) -> None:
    """A low-rank update of the weights of targets: any of q, k, v, out, ffn (both its layers)."""
    if isinstance(targets, str) or not targets:
        raise ValueError(f"targets is {targets!r}, expected a list of {', '.join(TARGETS)}")
    for target in targets:
        if target not in TARGETS:
            raise unknown_name("target of lora", target, TARGETS)
        for name in TARGETS[target]:
            linear = block.linears[name]
            derive(linear, "lora", LoRA(linear.in_features, linear.out_features, rank, alpha))
