# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Learned keys and values before the real ones (Li & Liang, "Prefix-Tuning", ACL 2021).

The encoders' own attentions leave no room for further keys: the fused function can be given one,
and the others reshape keys to the number of frames. So with a prefix, and only then, an attention's
forward is replaced by one of those below, in the calling convention of its library, bound to it.
Its layers are called as before, and with an empty prefix the result is the original's.
"""

from types import MethodType

import torch
import torch.nn.functional as F
from torch import nn

from sertl.peft.slots import keep, peft_module
from sertl.upstream.blocks import Block


class Prefix(nn.Module):
    """Vectors that every frame can attend to beside the frames; nothing is added to the output.

    Drawn from N(0, 0.02^2), so that they differ: the start is near the pretrained function but not
    equal to it, as every frame gives them some of its attention.

    Args:
        size: D, over all heads.
        length: P.

    Raises:
        ValueError: If length is not a positive whole number.
    """

    def __init__(self, size: int, length: int):
        super().__init__()
        if type(length) is not int or length < 1:
            raise ValueError(f"length is {length!r}, expected a whole number of at least 1")
        self.keys = nn.Parameter(0.02 * torch.randn(length, size))
        self.values = nn.Parameter(0.02 * torch.randn(length, size))

    def forward(
        self, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T, D) each -> (B, P + T, D) each."""
        own_keys = self.keys.to(keys.dtype).expand(len(keys), -1, -1)
        own_values = self.values.to(values.dtype).expand(len(values), -1, -1)
        return torch.cat([own_keys, keys], dim=1), torch.cat([own_values, values], dim=1)


def attend(attention: nn.Module, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Self-attention of x over itself and its prefix, which is never masked.

    Args:
        attention: Holds q_proj, k_proj, v_proj, out_proj, num_heads and peft["prefix"].
        x: (B, T, D).
        mask: (B, 1 or H, T, T), None for nothing: bool, True where attended to, or what is added to
            the scores.

    Returns:
        (B, T, D).
    """
    queries, prefix = attention.q_proj(x), attention.peft["prefix"]
    keys, values = prefix(attention.k_proj(x), attention.v_proj(x))  # (B, P + T, D)
    if mask is not None:
        always = True if mask.dtype == torch.bool else 0.0
        mask = F.pad(mask, (keys.shape[1] - x.shape[1], 0), value=always)
    heads = [
        part.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)  # (B, H, T, D / H)
        for part in (queries, keys, values)
    ]
    dropout = dropout_of(attention) if attention.training else 0.0
    mixed = F.scaled_dot_product_attention(*heads, attn_mask=mask, dropout_p=dropout)
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


@peft_module("prefix", order=3)
def put_prefix(block: Block, *, length: int = 5) -> None:
    """Keys and values that every frame attends to."""
    keep(block.attention, "prefix", Prefix(block.size, length))
    block.attention.forward = MethodType(ATTEND[block.calls], block.attention)
