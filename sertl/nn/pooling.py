# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Pooling over time: (B, T, D) frames and their lengths -> (B, D') utterance vectors.

Every pooling ignores padding whatever it holds (NaN included) and works for one frame. It says its
output size in `output_size`, in `linear` whether it is linear in the frames, and in `statistics`,
where it has no parameters, of what its vectors consist (nn/frame_statistics.py), so that stage 3
can pool once for all. A new pooling is a registered class here or in another file of this folder;
every classifier offers it (model_conf.pooling).
"""

import torch
from torch import nn

from sertl.registry import Registry
from sertl.schema.strict import Size

POOLINGS: Registry[type[nn.Module]] = Registry("pooling", "sertl.nn")


def frame_mask(lens: torch.Tensor, max_len: int) -> torch.Tensor:
    """(B,) lengths -> (B, max_len) bool, True at real frames.

    Raises:
        ValueError: If a length is outside 1..max_len.
    """
    in_a_graph = torch.compiler.is_compiling()  # export/graph.py: lengths have no values there
    if (
        not in_a_graph
        and lens.numel()
        and not (1 <= int(lens.min()) and int(lens.max()) <= max_len)
    ):
        raise ValueError(f"lengths {lens.tolist()} outside 1..{max_len}")
    return torch.arange(max_len, device=lens.device) < lens[:, None]


@POOLINGS.register("mean")
class MeanPooling(nn.Module):
    """Mean of the real frames."""

    linear = True  # pooling a sum of layers is summing pooled layers
    statistics = ("mean",)

    def __init__(self, input_size: int):
        super().__init__()
        self.output_size = input_size

    def forward(self, feats: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """feats (B, T, D), lens (B,) -> (B, D)."""
        mask = frame_mask(lens, feats.shape[1])
        total = feats.masked_fill(~mask[:, :, None], 0.0).sum(dim=1)  # (B, D)
        return total / lens[:, None]


@POOLINGS.register("stat")
class StatPooling(nn.Module):
    """Mean and standard deviation of the real frames (Snyder et al., ICASSP 2018)."""

    linear = False
    statistics = ("mean", "std")

    def __init__(self, input_size: int):
        super().__init__()
        self.output_size = 2 * input_size

    def forward(self, feats: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """feats (B, T, D), lens (B,) -> (B, 2D), [mean; std]."""
        mask = frame_mask(lens, feats.shape[1])
        weights = mask / lens[:, None]  # (B, T)
        return _weighted_stats(feats.masked_fill(~mask[:, :, None], 0.0), weights)


@POOLINGS.register("self_attentive")
class SelfAttentivePooling(nn.Module):
    """Attention-weighted mean: e_t = v tanh(W h_t + b), softmax over the real frames."""

    linear = False

    def __init__(self, input_size: int, attention_size: Size = 128):
        super().__init__()
        self.output_size = input_size
        self.attention = nn.Sequential(
            nn.Linear(input_size, attention_size),
            nn.Tanh(),
            nn.Linear(attention_size, 1, bias=False),
        )

    def weights(self, feats: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """feats (B, T, D) with finite padding, mask (B, T) -> (B, T), zero at padding."""
        scores = self.attention(feats).squeeze(2).float()  # (B, T)
        return torch.softmax(scores.masked_fill(~mask, float("-inf")), dim=1)

    def forward(self, feats: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """feats (B, T, D), lens (B,) -> (B, D)."""
        mask = frame_mask(lens, feats.shape[1])
        feats = feats.masked_fill(~mask[:, :, None], 0.0)
        return weighted_mean(feats.float(), self.weights(feats, mask))


@POOLINGS.register("dot_attention")
class DotAttentionPooling(SelfAttentivePooling):
    """Attention-weighted mean with e_t = tanh(h_t v), as in the code of FLEA.

    Li et al., ICASSP 2024, arXiv 2312.16383.
    """

    def __init__(self, input_size: int):
        super().__init__(input_size)
        self.attention = nn.Sequential(nn.Linear(input_size, 1, bias=False), nn.Tanh())


@POOLINGS.register("stat_attentive")
class StatAttentivePooling(SelfAttentivePooling):
    """Attention-weighted mean and standard deviation (Okabe et al., Interspeech 2018).

    Often called SAP, as is the mean-only kind: here that one is `self_attentive`.
    """

    def __init__(self, input_size: int, attention_size: Size = 128):
        super().__init__(input_size, attention_size)
        self.output_size = 2 * input_size

    def forward(self, feats: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """feats (B, T, D), lens (B,) -> (B, 2D), [mean; std]."""
        mask = frame_mask(lens, feats.shape[1])
        feats = feats.masked_fill(~mask[:, :, None], 0.0)
        return _weighted_stats(feats.float(), self.weights(feats, mask))


def pool_views(
    pooling: nn.Module, mix: nn.Module | None, hidden: torch.Tensor, lens: torch.Tensor
) -> torch.Tensor:
    """Pool hidden states into the vectors that a head reads side by side.

    Args:
        pooling: One of the above.
        mix: Sums the layers (nn/layer_mix.py); None keeps them apart.
        hidden: (B, L, T, D).
        lens: (B,).

    Returns:
        (B, V, D'), V = 1 with a mix, else L.
    """
    if mix is not None and not pooling.linear:
        return pooling(mix(hidden), lens)[:, None]
    # Pool first: the sum over layers then costs nothing.
    batch_size, num_layers = hidden.shape[:2]
    vectors = pooling(hidden.flatten(0, 1), lens.repeat_interleave(num_layers))
    vectors = vectors.unflatten(0, (batch_size, num_layers))
    return vectors if mix is None else mix(vectors)[:, None]


def weighted_mean(feats: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    with torch.autocast(feats.device.type, enabled=False):  # bf16 has three digits
        return torch.einsum("bt,btd->bd", weights.float(), feats.float())


def _weighted_stats(feats: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    mean = weighted_mean(feats, weights)
    # Two passes: E[x^2] - E[x]^2 cancels badly in float32 where the mean is large.
    var = weighted_mean((feats.float() - mean[:, None]).square(), weights)
    # The floor keeps the square root's gradient finite where a dimension does not vary (T = 1).
    return torch.cat([mean, var.clamp_min(1e-5).sqrt()], dim=1)
