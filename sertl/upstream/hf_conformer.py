# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""transformers' wav2vec 2.0 Conformer and w2v-BERT 2.0, computed clip-exactly.

Their blocks hold a convolution over time. That of w2v-BERT looks back only; the Conformer's looks
ahead too, and transformers lets it read what is behind a clip's end: here it meets zeros, as alone.
Batch norm in a Conformer keeps the statistics of its pre-training, also where the encoder is tuned:
those of a batch would make a clip depend on the others.
"""

import torch
from torch import nn

from sertl.upstream.blocks import conformer_block
from sertl.upstream.encoder import Upstream
from sertl.upstream.hf_models import HFUpstream
from sertl.upstream.native import MIN_SAMPLES, STRIDE

WINDOW, HOP = 400, 160  # samples, 25 and 10 ms
LEAST_VARIANCE = 1e-7


class HFConformer(HFUpstream):
    """Wav2Vec2ConformerModel, with relative or rotary positions.

    Source:
        Wang et al., "fairseq S2T", AACL 2020, and its release of Conformer wav2vec 2.0 (2022).
    """

    pre_norm = True
    padded: torch.Tensor | None = None  # (B, 1, T), of the batch that the convolutions now see

    def __init__(self, model: nn.Module, normalize: bool, dtype: str, dropout: float):
        super().__init__(model, normalize, dtype, dropout)
        self.silence_padding()

    def silence_padding(self) -> None:
        """See to it that the convolutions over time meet zeros after a clip's end."""
        for block in self.model.encoder.layers:
            block.conv_module.depthwise_conv.register_forward_pre_hook(self._silence)

    def _silence(self, _module: nn.Module, inputs: tuple[torch.Tensor]):
        """Zeros after a clip's end, where the convolution over time looks."""
        return None if self.padded is None else inputs[0].masked_fill(self.padded, 0.0)

    def train(self, mode: bool = True):
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.train(False)
        return self

    def blocks(self):
        return [conformer_block(b) for b in self.model.encoder.layers]

    def final_norm(self):
        return self.model.encoder.layer_norm

    def transform(self, x, padding, layers):
        return self.run_blocks(x, padding, layers, 0)

    def run_blocks(self, x, padding, layers, first):
        self.padded = None if padding is None else padding[:, None, :]
        return super().run_blocks(x, padding, layers, first)

    def attended(self, x, padding):
        """The mask and the positions, which all blocks take."""
        mask = None
        if padding is not None:  # added to the scores
            mask = torch.zeros_like(padding, dtype=x.dtype).masked_fill(padding, -torch.inf)
            mask = mask[:, None, None, :].expand(-1, 1, x.shape[1], -1)
        positions = self.model.encoder.embed_positions
        return mask, None if positions is None else positions(x)

    def block(self, block, x, mask, carried):
        attended, positions = mask
        call = {"attention_mask": attended, "relative_position_embeddings": positions}
        return self.run(block, x, **call, **self.more(x)), carried

    def more(self, x: torch.Tensor) -> dict:
        """Further arguments of a block."""
        return {}


class HFBert(HFConformer):
    """Wav2Vec2BertModel (w2v-BERT 2.0) on Kaldi's filter-banks.

    Source:
        Barrault et al., "Seamless: Multilingual Expressive and Streaming Speech Translation", 2023.
    """

    def silence_padding(self):
        """The blocks do it themselves, told by `more`."""

    @staticmethod
    def samples(config) -> int:
        return STRIDE

    def final_norm(self):
        return None

    def normalise(self, clip):
        return clip

    def convolve(self, wavs):
        """(b, N) -> (b, T, 160): two frames of 80 bins side by side, T = floor(frames / 2)."""
        return torch.stack([self.two_by_two(mel_frames(wav, 80)) for wav in wavs])

    def encode_equal(self, wavs, layers):
        return Upstream.encode_equal(self, wavs, layers)  # Kaldi's filter-banks are in no graph

    @staticmethod
    def two_by_two(mel: torch.Tensor) -> torch.Tensor:
        """(M, 80) -> (M // 2, 160), each bin of the clip at zero mean and unit variance."""
        mel = (mel - mel.mean(dim=0)) / (mel.var(dim=0) + LEAST_VARIANCE).sqrt()
        return mel[: len(mel) // 2 * 2].reshape(-1, 2 * mel.shape[1])

    def windows(self, num_samples):
        frames = 1 + (max(num_samples, MIN_SAMPLES) - WINDOW) // HOP
        return [min(frames // 2, -(-num_samples // STRIDE))]

    def more(self, x):
        return {"conv_attention_mask": None if self.padded is None else ~self.padded[:, 0]}


def mel_frames(wav: torch.Tensor, bins: int) -> torch.Tensor:
    """(N,) in [-1, 1] -> (1 + (N - 400) // 160, bins): Kaldi's log filter-banks."""
    from torchaudio.compliance.kaldi import fbank  # a second of import that only this model needs

    with torch.autocast(wav.device.type, enabled=False):
        return fbank(
            wav[None].float() * 2**15,  # Kaldi's samples are of 16 bits
            num_mel_bins=bins,
            sample_frequency=16000,
            dither=0.0,
            window_type="povey",
        )
