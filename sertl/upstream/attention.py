# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Self-attention that calls its projections, in the calling conventions of the libraries.

S3PRL's attentions, and WavLM's in transformers, hand the weights of their projections to one fused
function: nothing can be put between the frames and a projection there, neither further keys nor a
cheaper backward pass. The forwards below replace those of all libraries, bound to the module; its
layers and tensors are as before, and so is the result, to rounding.
"""

from collections.abc import Iterable
from types import MethodType

import torch
import torch.nn.functional as F
from torch import nn

from sertl.nn.dot_product import dot_product_attention
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
    return attention.out_proj(mix(attention, queries, keys, values, mask))


def attend_frames_first(
    attention: nn.Module, x: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """As attend, of x (T, B, D): projected as it lies, for a view of it would be copied first."""
    parts = [p(x).transpose(0, 1) for p in (attention.q_proj, attention.k_proj, attention.v_proj)]
    return attention.out_proj(mix(attention, *parts, mask)).transpose(0, 1)


def mix(
    attention: nn.Module,
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor | None,
    biased: torch.Tensor | None = None,
) -> torch.Tensor:
    """Values as queries (B, T, D) weigh them by keys, and those of the prefix: (B, T, D).

    biased: Queries that take their place for the frames, not for the prefix.
    """
    frames = queries.shape[1]
    modules = getattr(attention, "peft", {})
    prefix = modules["prefix"] if "prefix" in modules else None
    if prefix is not None and prefix.gate is None:
        keys, values = prefix(keys, values)  # (B, P + T, D)
        if mask is not None:
            always = True if mask.dtype == torch.bool else 0.0
            mask = F.pad(mask, (keys.shape[1] - frames, 0), value=always)
    dropout = dropout_of(attention) if attention.training else 0.0

    def heads(part: torch.Tensor) -> torch.Tensor:
        return part.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)  # (B, H, T, D / H)

    query = heads(queries if biased is None else biased)
    mixed = dot_product_attention(query, heads(keys), heads(values), mask, dropout)
    if prefix is not None and prefix.gate is not None:
        own_keys, own_values = prefix.own(keys)
        said = dot_product_attention(heads(queries), heads(own_keys), heads(own_values))
        mixed = mixed + prefix.gate.to(mixed.dtype) * said
    return mixed.transpose(1, 2).flatten(2)


def dropout_of(attention: nn.Module) -> float:
    """Probability of dropping an attention weight: a number in transformers, a layer in S3PRL."""
    fairseq = hasattr(attention, "dropout_module")
    layer = attention.dropout_module if fairseq else attention.dropout
    return layer.p if isinstance(layer, nn.Module) else layer


def attend_hf(self: nn.Module, hidden_states, attention_mask=None, **_) -> tuple:
    """Forward of transformers' HubertAttention, Wav2Vec2Attention and WhisperAttention."""
    return attend(self, hidden_states, attention_mask), None


def attend_fairseq(self: nn.Module, query, key=None, value=None, key_padding_mask=None, **_):
    """Forward of S3PRL's MultiheadAttention; query is (T, B, D), the mask (B, T)."""
    mask = None
    if key_padding_mask is not None:  # True where padded
        mask = ~key_padding_mask[:, None, None, :].expand(-1, 1, len(query), -1)
    return attend_frames_first(self, query, mask), None


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
            scores = gate_of(x, heads, self.grep_linear, self.grep_a) * scores
    if key_padding_mask is not None:
        padding = key_padding_mask[:, None, None, :].expand(-1, 1, frames, -1)
        scores = padding if scores is None else scores + padding
    return attend_frames_first(self, query, scores), None, position_bias


def gate_of(x: torch.Tensor, heads: int, linear: nn.Module, scale: torch.Tensor) -> torch.Tensor:
    """(B, T, D) -> (B, H, T, 1): by how much WavLM's frames take their position bias."""
    pieces = x.unflatten(2, (heads, -1)).transpose(1, 2)  # (B, H, T, D / H)
    gates = torch.sigmoid(linear(pieces).unflatten(3, (2, 4)).sum(4))
    reset, update = gates.chunk(2, dim=3)  # (B, H, T, 1) each
    return reset * (update * scale - 1.0) + 2.0


def attend_hf_wavlm(
    self: nn.Module, hidden_states, attention_mask=None, position_bias=None, **_
) -> tuple:
    """Forward of transformers' WavLMAttention: the mask (B, T) is 1 where attended to."""
    x = hidden_states
    batch, frames, heads = x.shape[0], x.shape[1], self.num_heads
    if position_bias is None:
        position_bias = self.compute_bias(frames, frames).repeat(batch, 1, 1)
    scores = position_bias.view(batch, heads, frames, frames)
    scores = gate_of(x, heads, self.gru_rel_pos_linear, self.gru_rel_pos_const) * scores
    if attention_mask is not None:
        scores = scores.masked_fill(attention_mask[:, None, None, :] != 1, -torch.inf)
    return attend(self, x, scores), None, position_bias


def attend_conformer(
    self: nn.Module, hidden_states, attention_mask=None, relative_position_embeddings=None, **_
) -> tuple:
    """Forward of transformers' Wav2Vec2ConformerSelfAttention and Wav2Vec2BertSelfAttention."""
    positions, kind, x = relative_position_embeddings, self.position_embeddings_type, hidden_states
    turned = self._apply_rotary_embedding(x, positions) if kind == "rotary" else x
    queries, keys = self.linear_q(turned), self.linear_k(turned)
    scores, biased = None, None
    if kind == "relative":
        biased = queries + self.pos_bias_u.flatten()
        scores = relative_scores(self, queries, positions)
    elif kind == "relative_key":
        scores = distance_scores(self, queries)
    if attention_mask is not None:
        scores = attention_mask if scores is None else scores + attention_mask
    mixed = mix(self, queries, keys, self.linear_v(x), scores, biased)
    return self.linear_out(mixed), None


def relative_scores(
    attention: nn.Module, queries: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """(B, T, D) and (1, 2T - 1, D) -> (B, H, T, T), of Transformer-XL (Dai et al., ACL 2019)."""
    heads, frames = attention.num_heads, queries.shape[1]
    turned = (queries + attention.pos_bias_v.flatten()).unflatten(2, (heads, -1)).transpose(1, 2)
    places = attention.linear_pos(positions).unflatten(2, (heads, -1)).permute(0, 2, 3, 1)
    far = turned @ places  # (B, H, T, 2T - 1), the row of frame t beginning T - 1 - t too early
    rows = torch.arange(frames, device=queries.device)
    index = (frames - 1 - rows)[:, None] + rows[None]  # (T, T)
    near = far.gather(3, index.expand(*far.shape[:2], -1, -1))
    return near * attention.scaling


def distance_scores(attention: nn.Module, queries: torch.Tensor) -> torch.Tensor:
    """(B, T, D) -> (B, H, T, T): a learned vector for each distance (Shaw et al., NAACL 2018)."""
    frames = torch.arange(queries.shape[1], device=queries.device)
    left, right = attention.left_max_position_embeddings, attention.right_max_position_embeddings
    distance = (frames[None] - frames[:, None]).clamp(-left, right) + left
    table = attention.distance_embedding(distance).to(queries.dtype)  # (T, T, D / H)
    heads = queries.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
    return torch.einsum("bhld,lrd->bhlr", heads, table) * attention.scaling


ATTEND = {
    "hf": attend_hf,
    "fairseq": attend_fairseq,
    "wavlm": attend_wavlm,
    "hf_wavlm": attend_hf_wavlm,
    "conformer": attend_conformer,
}


def replace_attention(blocks: Iterable[Block]) -> None:
    """Give the blocks' attentions the forwards of their calling conventions."""
    for block in blocks:
        block.attention.forward = MethodType(ATTEND[block.calls], block.attention)
