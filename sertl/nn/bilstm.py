# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A bidirectional LSTM over frames that never sees the padding."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class BiLSTM(nn.Module):
    """One layer; the backward direction starts at the last real frame.

    Args:
        input_size: D.
        hidden: H, units per direction.
    """

    def __init__(self, input_size: int, hidden: int):
        super().__init__()
        self.output_size = 2 * hidden
        self.lstm = nn.LSTM(input_size, hidden, batch_first=True, bidirectional=True)

    def forward(self, feats: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """feats (B, T, D), lens (B,) -> (B, T, 2H), zero at padding."""
        packed = pack_padded_sequence(feats, lens.cpu(), batch_first=True, enforce_sorted=False)
        out, _ = self.lstm(packed)
        return pad_packed_sequence(out, batch_first=True, total_length=feats.shape[1])[0]
