# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A bidirectional LSTM over frames that never sees the padding."""

import torch
from torch import nn

from sertl.nn.pooling import frame_mask


class BiLSTM(nn.Module):
    """One layer; the backward direction starts at the last real frame.

    Not a packed sequence, as is usual: its backward pass is slow on a CPU. Each direction reads
    padded frames, the backward one with the real ones in reverse order.

    Args:
        input_size: D.
        hidden: H, units per direction.
    """

    def __init__(self, input_size: int, hidden: int):
        super().__init__()
        self.output_size = 2 * hidden
        self.ahead = nn.LSTM(input_size, hidden, batch_first=True)
        self.back = nn.LSTM(input_size, hidden, batch_first=True)

    def forward(self, feats: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """feats (B, T, D), lens (B,) -> (B, T, 2H), zero at padding."""
        frames = torch.arange(feats.shape[1], device=feats.device)
        real = frame_mask(lens, feats.shape[1])  # (B, T)
        order = torch.where(real, lens[:, None] - 1 - frames, frames)[:, :, None]
        padding = ~real[:, :, None]
        feats = feats.masked_fill(padding, 0.0)
        ahead, _ = self.ahead(feats)
        back, _ = self.back(feats.gather(1, order.expand_as(feats)))
        both = torch.cat([ahead, back.gather(1, order.expand_as(back))], dim=2)
        return both.masked_fill(padding, 0.0)
