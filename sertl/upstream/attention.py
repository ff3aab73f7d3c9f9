# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Which of transformers' attentions the blocks of an encoder run, with the mask that it takes."""

import torch
from transformers import PretrainedConfig

LONGEST = 300  # frames, 6 s: the scores, kept for the backward pass, grow with the square of it


def prepare_attention(
    config: PretrainedConfig, x: torch.Tensor, padding: torch.Tensor | None
) -> torch.Tensor | None:
    """Choose the attention for an input.

    The fused one saves memory everywhere, and time but in one place: on a CPU, in bf16, its
    backward pass takes longer than that of plain products.

    Args:
        config: The blocks' own, in which the choice is set.
        x: (B, T, D), their input.
        padding: (B, T) bool, True where padded; None for no padding.

    Returns:
        (B, 1, T, T) for the blocks: bool, True where attended to, or what is added to the scores;
        None for nothing.
    """
    plain = x.device.type == "cpu" and torch.is_grad_enabled() and x.shape[1] <= LONGEST
    config._attn_implementation = "eager" if plain else "sdpa"
    if padding is None:
        return None
    mask = ~padding
    if plain:
        mask = torch.zeros(padding.shape).masked_fill(padding, torch.finfo(torch.float32).min)
    return mask[:, None, None, :].expand(-1, 1, x.shape[1], -1)
