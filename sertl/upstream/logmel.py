# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Whisper's log-mel spectrogram of a clip's own samples, in torch."""

import torch
from torch import nn
from transformers.audio_utils import mel_filter_bank

WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
MIN_SAMPLES = 400  # shorter clips are padded with zeros to one window


class LogMel(nn.Module):
    """Log-mel of one clip, as transformers' WhisperFeatureExtractor gives without padding.

    Source:
        Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022.
    """

    def __init__(self, num_mel_bins: int):
        super().__init__()
        filters = mel_filter_bank(
            num_frequency_bins=1 + WINDOW // 2,
            num_mel_filters=num_mel_bins,
            min_frequency=0.0,
            max_frequency=8000.0,
            sampling_rate=16000,
            norm="slaney",
            mel_scale="slaney",
        )
        filters = torch.from_numpy(filters).T.float().contiguous()
        self.register_buffer("filters", filters, persistent=False)  # (bins, 201)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    def forward(self, wav: torch.Tensor) -> torch.Tensor:
        """(N,) float32, N >= 400 -> (bins, N // 160) float32, in about [-1, 1.5].

        The floor, 8 decades below the maximum, is that of this clip alone.
        """
        with torch.autocast(wav.device.type, enabled=False):  # squares span more than bf16 holds
            stft = torch.stft(wav, WINDOW, HOP, window=self.window, return_complex=True)
            power = stft[:, :-1].abs().square().contiguous()  # (201, N // 160)
            mel = (self.filters @ power).clamp(min=1e-10).log10()  # (bins, N // 160)
            return (torch.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0
