# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Self-attention that calls its projections, in the calling conventions of three libraries.

S3PRL's attentions hand the weights of their projections to one fused function: nothing can be put
between the frames and a projection there, neither further keys nor a cheaper backward pass. The
forwards below replace theirs, bound to the module; its layers and tensors are as before, and so is
the result, to rounding.
"""

from types import MethodType

import torch
import torch.nn.functional as F
from torch import nn

from sertl.upstream.blocks import Block


def attend(attention: nn.Module, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Self-attention of x over itself and its prefix, if it has one, which is never masked.

    Args:
        attention: Holds q_proj, k_proj, v_proj, out_proj, num_heads and perhaps peft["prefix"].
        x: (B, T, D).
        mask: (B, 1 or H, T, T), None for nothing: bool, True where attended to, or what is added to
            the scores.

    Returns:
        (B, T, D).
    """
    queries, keys, values = attention.q_proj(x), attention.k_proj(x), attention.v_proj(x)
    modules = getattr(attention, "peft", {})
    prefix = modules["prefix"] if "prefix" in modules else None
    if prefix is not None and prefix.gate is None:
        keys, values = prefix(keys, values)  # (B, P + T, D)
        if mask is not None:
            always = True if mask.dtype == torch.bool else 0.0
            mask = F.pad(mask, (keys.shape[1] - x.shape[1], 0), value=always)
    dropout = dropout_of(attention) if attention.training else 0.0

    def heads(part: torch.Tensor) -> torch.Tensor:
        return part.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)  # (B, H, T, D / H)

    query = heads(queries)
    mixed = F.scaled_dot_product_attention(
        query, heads(keys), heads(values), attn_mask=mask, dropout_p=dropout
    )
    if prefix is not None and prefix.gate is not None:
        own_keys, own_values = prefix.own(keys)
        said = F.scaled_dot_product_attention(query, heads(own_keys), heads(own_values))
        mixed = mixed + prefix.gate.to(mixed.dtype) * said
    return attention.out_proj(mixed.transpose(1, 2).flatten(2))


def dropout_of(attention: nn.Module) -> float:
    """Probability of dropping an attention weight: a number in transformers, a layer in S3PRL."""
    layer = getattr(attention, "dropout_module", None)
    return attention.dropout if layer is None else layer.p


def attend_hf(self: nn.Module, hidden_states, attention_mask=None, **_) -> tuple:
    """Forward of transformers' HubertAttention, Wav2Vec2Attention and WhisperAttention."""
    return attend(self, hidden_states, attention_mask), None


def attend_fairseq(self: nn.Module, query, key=None, value=None, key_padding_mask=None, **_):
    """Forward of S3PRL's MultiheadAttention; query is (T, B, D), the mask (B, T)."""
    x, mask = query.transpose(0, 1), None
    if key_padding_mask is not None:  # True where padded
        mask = ~key_padding_mask[:, None, None, :].expand(-1, 1, x.shape[1], -1)
    return attend(self, x, mask).transpose(0, 1), None


def attend_wavlm(
    self: nn.Module,
    query,
    key=None,
    value=None,
    key_padding_mask=None,
    position_bias=None,
    **_,
) -> tuple:
    """Forward of WavLM's MultiheadAttention: the frames' scores get a gated position bias.

    Args:
        self: The attention.
        query: (T, B, D); key and value are the same.
        key_padding_mask: (B, T), 0 or -inf.
        position_bias: (B * H, T, T) from the first block, None there.
    """
    x = query.transpose(0, 1)
    batch, frames, heads = x.shape[0], x.shape[1], self.num_heads
    if self.has_relative_attention_bias and position_bias is None:
        position_bias = self.compute_bias(frames, frames).repeat(batch, 1, 1)
    scores = None
    if position_bias is not None:
        scores = position_bias.view(batch, heads, frames, frames)
        if self.gru_rel_pos:
            pieces = x.unflatten(2, (heads, -1)).transpose(1, 2)  # (B, H, T, D / H)
            gates = torch.sigmoid(self.grep_linear(pieces).unflatten(3, (2, 4)).sum(4))
            reset, update = gates.chunk(2, dim=3)  # (B, H, T, 1) each
            scores = (reset * (update * self.grep_a - 1.0) + 2.0) * scores
    if key_padding_mask is not None:
        padding = key_padding_mask[:, None, None, :].expand(-1, 1, frames, -1)
        scores = padding if scores is None else scores + padding
    return attend(self, x, scores).transpose(0, 1), None, position_bias


ATTEND = {"hf": attend_hf, "fairseq": attend_fairseq, "wavlm": attend_wavlm}


def replace_forward(block: Block) -> None:
    """Give the block's attention the forward of its calling convention."""
    block.attention.forward = MethodType(ATTEND[block.calls], block.attention)
