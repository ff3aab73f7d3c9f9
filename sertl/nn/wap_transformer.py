# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""WAP Transformer: Transformer blocks, then the learned weighted average of the blocks' outputs."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from sertl.nn.dot_product import dot_product_attention
from sertl.nn.layer_mix import LayerMix
from sertl.nn.pooling import frame_mask
from sertl.schema.strict import Dropout, Size, Width


class Block(nn.Module):
    """Self-attention and feed-forward layer, each with a residual path and a layer norm.

    Args:
        size: D.
        heads: Attention heads; must divide D.
        ffn: Width of the feed-forward layer.
        dropout: Of attention weights and of both outputs.
        norm: pre (the residual path stays free of norms) or post.
    """

    def __init__(self, size: int, heads: int, ffn: int, dropout: float, norm: str):
        super().__init__()
        self.heads, self.dropout, self.pre = heads, dropout, norm == "pre"
        self.attention_norm = nn.LayerNorm(size)
        self.attention_in = nn.Linear(size, 3 * size)
        self.attention_out = nn.Linear(size, size)
        self.ffn_norm = nn.LayerNorm(size)
        self.ffn_in = nn.Linear(size, ffn)
        self.ffn_out = nn.Linear(ffn, size)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """x (B, T, D), mask (B, T) True at real frames -> (B, T, D), arbitrary at padding."""
        if self.pre:
            x = x + self._attend(self.attention_norm(x), mask)
            return x + self._feed(self.ffn_norm(x))
        x = self.attention_norm(x + self._attend(x, mask))
        return self.ffn_norm(x + self._feed(x))

    def _attend(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        qkv = self.attention_in(x).unflatten(2, (3, self.heads, -1))  # (B, T, 3, H, D/H)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, T, D/H)
        dropout = self.dropout if self.training else 0.0
        keys = mask[:, None, None]  # (B, 1, 1, T)
        out = dot_product_attention(query, key, value, keys, dropout)
        return self._drop(self.attention_out(out.transpose(1, 2).flatten(2)))

    def _feed(self, x: torch.Tensor) -> torch.Tensor:
        return self._drop(self.ffn_out(self._drop(F.gelu(self.ffn_in(x)))))

    def _drop(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(x, self.dropout, self.training)


class WapTransformer(nn.Module):
    """Z = sum_l softmax(a)_l X_l over the outputs X_1 .. X_L of L blocks; a = 0 at the start.

    Args:
        size: D.
        width: D' of the blocks; 0 for D, else a linear layer leads there. A narrow adapter costs a
            fraction: the blocks' work grows with the square of their width.
        blocks: L.
        heads: Per block; 0 takes the largest divisor of D' up to D' / 64, or 1.
        ffn: Width of the feed-forward layers; 0 for 4 D'.
        dropout: Inside the blocks.
        norm: pre or post.
        position: none, or conv: a depthwise convolution of the input is added to it. Without it
            attention sees a set of frames, so that all masked frames, which hold one vector, come
            out alike, and a student could only predict what an utterance holds on the whole.
        kernel: Frames that the convolution sees; odd.

    Attributes:
        output_size: D'.

    Source:
        Song et al., 2025, arXiv 2509.23795; the sizes are ours. The convolution is that of
        wav2vec 2.0 (Baevski et al., NeurIPS 2020) with one group per dimension.
    """

    def __init__(
        self,
        size: int,
        width: Width = 0,
        blocks: Size = 3,
        heads: Width = 0,
        ffn: Width = 0,
        dropout: Dropout = 0.1,
        norm: Literal["pre", "post"] = "pre",
        position: Literal["none", "conv"] = "conv",
        kernel: Size = 31,
    ):
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {kernel}")
        self.narrow = nn.Linear(size, width) if width else None
        self.output_size = size = width or size
        heads = heads or max(n for n in range(1, max(1, size // 64) + 1) if size % n == 0)
        if size % heads:
            raise ValueError(f"{heads} heads do not divide {size} dimensions")
        self.position = None
        if position == "conv":
            self.position = nn.Conv1d(size, size, kernel, padding=kernel // 2, groups=size)
        self.blocks = nn.ModuleList(
            Block(size, heads, ffn or 4 * size, dropout, norm) for _ in range(blocks)
        )
        self.mix = LayerMix(blocks)

    @torch.no_grad()
    def copy_blocks(self, sources: Sequence) -> None:
        """Start from the last blocks of a pretrained encoder instead of at random.

        What this block has no place for, such as WavLM's relative positions, stays behind.

        Args:
            sources: Views of the encoder's blocks in order, with `linears` (q, k, v, out, ffn_in,
                ffn_out), `norms` (beside the attention and the feed-forward layer) and `pre_norm`.

        Raises:
            ValueError: If there are too few, or they are of another size or norm.
        """
        if len(sources) < len(self.blocks):
            raise ValueError(f"{len(self.blocks)} blocks asked for, the encoder has {len(sources)}")
        for block, source in zip(self.blocks, sources[-len(self.blocks) :], strict=True):
            if block.pre != source.pre_norm:
                raise ValueError(
                    f"set norm: {'pre' if source.pre_norm else 'post'}, as the encoder"
                )
            for own, name in ((block.ffn_in, "ffn_in"), (block.ffn_out, "ffn_out")):
                theirs = source.linears[name]
                if own.weight.shape != theirs.weight.shape:
                    raise ValueError(
                        f"{name} is {tuple(own.weight.shape)}, the encoder's "
                        f"{tuple(theirs.weight.shape)}: set width: 0, "
                        f"ffn: {source.ffn_in.out_features}"
                    )
                _copy(own, [theirs])
            _copy(block.attention_in, [source.linears[n] for n in ("q", "k", "v")])
            _copy(block.attention_out, [source.linears["out"]])
            block.attention_norm.load_state_dict(source.norms[0].state_dict())
            block.ffn_norm.load_state_dict(source.norms[1].state_dict())

    def forward(self, feats: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """feats (B, T, D), lens (B,) -> (B, T, D'), arbitrary but finite at padding."""
        mask = frame_mask(lens, feats.shape[1])
        x = feats if self.narrow is None else self.narrow(feats)
        x = x.masked_fill(~mask[:, :, None], 0.0)
        if self.position is not None:
            x = x + F.gelu(self.position(x.transpose(1, 2))).transpose(1, 2)
        outputs = []
        for block in self.blocks:
            x = block(x, mask)
            outputs.append(x)
        return self.mix(torch.stack(outputs, dim=1))  # (B, L, T, D') -> (B, T, D')


def adapter_input(hidden: torch.Tensor, mix: nn.Module, spec, reads: int | None) -> torch.Tensor:
    """What enters an adapter: (B, L, T, D) hidden states -> (B, T, D) frames.

    Args:
        hidden: Of the layers in spec.layers, layer-normalised if spec.normalise.
        mix: Sums the layers, each layer-normalised.
        spec: See models.base.Spec.
        reads: Number of the one hidden state that is taken as it is, instead of the sum.
    """
    if reads is not None:
        return hidden[:, list(spec.layers).index(reads)]
    return mix(hidden if spec.normalise else F.layer_norm(hidden, hidden.shape[-1:]))


def check_reads(spec, reads: int | None) -> None:
    """Refuse a hidden state that is not there.

    Raises:
        ValueError: Naming those that are.
    """
    if reads is not None and reads not in spec.layers:
        raise ValueError(f"reads is {reads!r}, expected null or one of {list(spec.layers)}")


def check_continues(adapter: WapTransformer, spec, reads: int | None, num_layers: int) -> None:
    """Refuse to copy an encoder's last blocks where they would not go on from their own input.

    Args:
        adapter: Of so many blocks.
        spec: See models.base.Spec.
        reads: See adapter_input.
        num_layers: Hidden states of the encoder.

    Raises:
        ValueError: Saying what to set.
    """
    first = num_layers - 1 - len(adapter.blocks)
    read = spec.layers[0] if reads is None and len(spec.layers) == 1 else reads
    if read != first or spec.normalise or adapter.position is not None or adapter.narrow:
        raise ValueError(
            f"the encoder's last {len(adapter.blocks)} blocks go on from its hidden state {first} "
            f"as it is, without a position code: set model_conf.reads={first}, "
            "data_conf.normalise=false, model_conf.wap.position=none, model_conf.wap.width=0"
        )


def _copy(own: nn.Linear, sources: Sequence[nn.Linear]) -> None:
    """Copy linear layers of one input, their outputs side by side, into one; no bias means zero."""
    own.weight.copy_(torch.cat([layer.weight for layer in sources]))
    biases = [
        layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias
        for layer in sources
    ]
    own.bias.copy_(torch.cat(biases))
