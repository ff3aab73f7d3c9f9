# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Learned keys and values beside the real ones (Li & Liang, "Prefix-Tuning", ACL 2021).

With a zero gate (Zhang et al., "LLaMA-Adapter", ICLR 2024) the start is the encoder itself: what
the prefix says is a sum of its own, times a factor per head that begins at 0. Without it, as in
Prefix-Tuning, the prefix takes part in one softmax with the frames.

The encoders' own attentions leave no room for further keys: the fused function can be given one,
and the others reshape keys to the number of frames. So with a prefix an attention gets the forward
of upstream/attention.py.
"""

import torch
from torch import nn

from sertl.peft.slots import keep, peft_module
from sertl.schema.strict import Size
from sertl.upstream.blocks import Block


class Prefix(nn.Module):
    """Vectors that every frame can attend to beside the frames; nothing is added to the output.

    Drawn from N(0, 0.02^2), so that they differ.

    Args:
        size: D, over all heads.
        length: P.
        heads: H.
        zero: Whether there is a zero gate; else the start is near the encoder, but not equal to it,
            as every frame gives the prefix some of its attention.

    Raises:
        ValueError: If length is not a positive whole number.
    """

    def __init__(self, size: int, length: int, heads: int = 1, zero: bool = False):
        super().__init__()
        if type(length) is not int or length < 1:
            raise ValueError(f"length is {length!r}, expected a whole number of at least 1")
        self.keys = nn.Parameter(0.02 * torch.randn(length, size))
        self.values = nn.Parameter(0.02 * torch.randn(length, size))
        self.gate = nn.Parameter(torch.zeros(heads, 1, 1)) if zero else None

    def forward(
        self, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T, D) each -> (B, P + T, D) each."""
        return tuple(
            torch.cat([own, there], dim=1)
            for own, there in zip(self.own(keys), (keys, values), strict=True)
        )

    def own(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values (B, P, D) for a batch (B, T, D)."""
        return tuple(
            part.to(like.dtype).expand(like.shape[0], -1, -1) for part in (self.keys, self.values)
        )


@peft_module("prefix", order=3)
def put_prefix(block: Block, *, length: Size = 5, zero: bool = True) -> None:
    """Keys and values that every frame attends to; with zero, through a gate that begins shut."""
    heads = block.attention.num_heads
    keep(block.attention, "prefix", Prefix(block.size, length, heads, zero))
