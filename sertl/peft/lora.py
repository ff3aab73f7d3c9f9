# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Low-rank update of a weight matrix (Hu et al., "LoRA", ICLR 2022)."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from sertl.peft.derived_linear import derive
from sertl.peft.slots import peft_module
from sertl.schema.strict import Positive, Size
from sertl.upstream.blocks import Block


class LoRA(nn.Module):
    """W + (alpha / r) B A; A is Kaiming-uniform and B zero, so the start is W itself.

    With dora, every row of that has its length as a factor of its own, which begins as that of W's
    row, so that direction and length learn apart.

    Args:
        input_size: Columns of W.
        output_size: Rows of W.
        rank: r.
        alpha: Numerator of the scale. It has no default: left at 1, as in some public code, the
            update is r times smaller than with alpha = r.
        dora: The stored weight (O, I), for DoRA (Liu et al., ICML 2024); None for LoRA alone.

    Raises:
        ValueError: If rank is not between 1 and both sizes, or alpha is not positive.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        rank: int,
        alpha: float,
        dora: torch.Tensor | None = None,
    ):
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
        self.length = None if dora is None else nn.Parameter(dora.detach().norm(dim=1))

    def on_weight(self, weight: torch.Tensor) -> torch.Tensor:
        """(O, I) -> (O, I)."""
        # In float32 also under autocast: a thousandth of the layer's work, and bf16 would round
        # an update that is small beside the weight.
        with torch.autocast(weight.device.type, enabled=False):
            weight = torch.addmm(weight, self.b, self.a, alpha=self.scale)
            if self.length is None:
                return weight
            # The norm is taken as a constant in the backward pass, as the paper does: less memory.
            return (self.length / weight.detach().norm(dim=1))[:, None] * weight

    def on_bias(self, bias: torch.Tensor) -> torch.Tensor:
        """The bias stays as it is."""
        return bias

    def apply_to(self, linear: nn.Linear, x: torch.Tensor) -> torch.Tensor | None:
        """What the layer gives for x (..., I), if it has no other module and W does not train."""
        weight, bias = linear._parameters["weight"], linear._parameters["bias"]
        if self.length is not None or weight.requires_grad:
            return None
        with torch.no_grad():
            whole = self.on_weight(weight)
        device = x.device.type
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            x, whole = x.to(dtype), whole.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        with torch.autocast(device, enabled=False):
            return MergedLinear.apply(x, whole, bias, self.a, self.b, self.scale)


Target = Literal["q", "k", "v", "out", "ffn"]
TARGETS = {name: (name,) for name in ("q", "k", "v", "out")} | {"ffn": ("ffn_in", "ffn_out")}


class MergedLinear(torch.autograd.Function):
    """y = x (W + s B A)^T + b, whose backward pass never makes the gradient of W, (O, I).

    dB = s g^T (x A^T) and dA = s (g B)^T x need two products of rank r in its place.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, a, b, scale):
        """x (..., I), weight (O, I) with the update in it, bias (O,) or None -> (..., O)."""
        ctx.save_for_backward(x, weight, a, b)
        ctx.scale, ctx.with_bias = scale, bias is not None
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx, gradient):
        x, weight, a, b = ctx.saved_tensors
        rows, outputs = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
        down = rows @ a.T.to(rows.dtype)  # (N, r)
        up = outputs @ b.to(outputs.dtype)  # (N, r)
        to_x = (outputs @ weight).view_as(x) if ctx.needs_input_grad[0] else None
        to_bias = outputs.sum(dim=0) if ctx.with_bias and ctx.needs_input_grad[2] else None
        to_a = ctx.scale * (up.T @ rows)
        to_b = ctx.scale * (outputs.T @ down)
        return to_x, None, to_bias, to_a.to(a.dtype), to_b.to(b.dtype), None


@peft_module("lora", order=1)
def put_lora(
    block: Block,
    *,
    alpha: Positive,
    rank: Size | dict[str, Size] = 8,
    targets: Annotated[Sequence[Target], Field(min_length=1)] = ("q", "k", "v"),
    dora: bool = False,
) -> None:
    """A low-rank update of the weights of targets: any of q, k, v, out, ffn (both its layers).

    Args:
        block: Where to put it.
        alpha: Numerator of the scale alpha / rank.
        rank: Of all, or of each target by its name.
        targets: Names.
        dora: Whether rows have a length of their own (DoRA).
    """
    ranks = dict(rank) if isinstance(rank, Mapping) else dict.fromkeys(targets, rank)
    if ranks.keys() != {*targets}:
        raise ValueError(f"rank names {sorted(ranks)}, targets are {sorted(targets)}")
    for target in targets:
        for name in TARGETS[target]:
            linear = block.linears[name]
            weight = linear.weight if dora else None
            size = (linear.in_features, linear.out_features)
            derive(linear, "lora", LoRA(*size, ranks[target], alpha, weight))
