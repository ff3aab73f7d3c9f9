# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Blocks and attention biases of data2vec 2.0, on which emotion2vec and EAT are built.

The released form alone: norms after attention and feed-forward part. Queries, keys and values, one
matrix in the checkpoints, are three here, as in all other encoders.

Source:
    Baevski et al., "Efficient Self-supervised Learning with Contextualized Target Representations
    for Vision, Speech and Language", ICML 2023 (data2vec 2.0); Press et al., "Train Short, Test
    Long", ICLR 2022 (ALiBi).
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from sertl.errors import SertlError
from sertl.upstream.attention import attend
from sertl.upstream.blocks import Block


class Attention(nn.Module):
    """Self-attention; see upstream/attention.py."""

    def __init__(self, size: int, heads: int):
        super().__init__()
        self.num_heads, self.dropout = heads, 0.0
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self, name, nn.Linear(size, size))

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None):
        """(B, T, D) and what is added to the scores -> ((B, T, D), None)."""
        return attend(self, hidden_states, attention_mask), None


class AltBlock(nn.Module):
    """A block: x + attention, norm, x + feed-forward part, norm."""

    def __init__(self, size: int, heads: int, inner: int, eps: float):
        super().__init__()
        self.attn = Attention(size, heads)
        self.norm1, self.norm2 = nn.LayerNorm(size, eps), nn.LayerNorm(size, eps)
        self.fc1, self.fc2 = nn.Linear(size, inner), nn.Linear(inner, size)
        self.dropout = nn.Dropout(0.0)

    def forward(self, x: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """(B, T, D) -> (B, T, D)."""
        x = self.norm1(x + self.dropout(self.attn(x, attention_mask)[0]))
        return self.norm2(x + self.dropout(self.fc2(self.dropout(F.gelu(self.fc1(x))))))

    def view(self) -> Block:
        """As training sees it."""
        return Block(self, self.attn, self.fc1, self.fc2, (self.norm1, self.norm2), False, "hf")


def block_tensors(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors of one block of a checkpoint, under AltBlock's names.

    Raises:
        SertlError: If one is missing.
    """
    found = {}
    for kind in ("weight", "bias"):
        whole = take(tensors, f"{prefix}attn.qkv.{kind}")
        for name, part in zip("qkv", whole.chunk(3), strict=True):
            found[f"attn.{name}_proj.{kind}"] = part.clone()
        found[f"attn.out_proj.{kind}"] = take(tensors, f"{prefix}attn.proj.{kind}")
        for name, own in (("norm1", "norm1"), ("norm2", "norm2"), ("mlp.fc1", "fc1"),
                          ("mlp.fc2", "fc2")):  # fmt: skip
            found[f"{own}.{kind}"] = take(tensors, f"{prefix}{name}.{kind}")
    return found


def take(tensors: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    """A tensor of a checkpoint, in float32."""
    if name not in tensors:
        raise SertlError(f"no tensor {name} in the checkpoint; it is another model, or incomplete")
    return tensors[name].float()


def count_blocks(tensors: dict[str, torch.Tensor], prefix: str) -> int:
    """How many blocks prefix.0, prefix.1, … there are."""
    count = 0
    while f"{prefix}{count}.attn.qkv.weight" in tensors:
        count += 1
    return count


def alibi(frames: int, heads: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """(H, T, T): how much less a frame attends to another, by their distance and the head."""
    slopes = torch.tensor(alibi_slopes(heads), device=device)
    places = torch.arange(frames, device=device)
    return -(places[None] - places[:, None]).abs()[None] * slopes[:, None, None]


def alibi_slopes(heads: int) -> list[float]:
    """A geometric series; between powers of two, every other one of the next longer series."""
    whole = 2 ** math.floor(math.log2(heads))
    first = 2.0 ** (-8.0 / whole)
    slopes = [first ** (i + 1) for i in range(whole)]
    if whole < heads:
        slopes += alibi_slopes(2 * whole)[::2][: heads - whole]
    return slopes
