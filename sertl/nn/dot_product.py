# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Scaled dot-product attention by torch's fused function, in the precision in which it is fast."""

import torch
import torch.nn.functional as F


def dot_product_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None = None,
    dropout: float = 0.0,
) -> torch.Tensor:
    """softmax(query key^T / sqrt(D) + mask) value.

    Training under autocast on a CPU, it is computed in float32: the fused function's way back in 16
    bits is the slower one there, most of all for short clips (tools/bench/bench_attention.py), and
    the less exact.

    Args:
        query: (B, H, T, D), as key and value with their own T.
        mask: Broadcast to (B, H, T, T): bool, True where attended to, or what is added to the
            scores.
        dropout: Probability of dropping a weight.

    Returns:
        (B, H, T, D), of the query's type.
    """
    slow = query.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    if not (slow and torch.is_grad_enabled()):
        return F.scaled_dot_product_attention(query, key, value, mask, dropout)
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.float()
    with torch.autocast("cpu", enabled=False):
        parts = query.float(), key.float(), value.float()
        return F.scaled_dot_product_attention(*parts, mask, dropout).to(query.dtype)
