# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""transformers' wav2vec 2.0 and what is built like it, computed clip-exactly.

Same model, same scaling of the waveform and same frames as the model gives for a clip alone,
computed as in native.py. Calling the blocks directly leaves out the SpecAugment masks and the layer
drop that the folder's config would apply in training. The last hidden state of a "large" (pre-norm)
model comes after the final layer norm, as in S3PRL's native format and as transformers'
`last_hidden_state`; the last of transformers' `hidden_states`, and so S3PRL's, comes before it.
"""

import math

import torch
from torch import nn

from sertl.upstream.attention import replace_attention
from sertl.upstream.blocks import hf_block
from sertl.upstream.encoder import set_dropout
from sertl.upstream.native import FrameUpstream, standard


class HFUpstream(FrameUpstream):
    """Wav2Vec2Model, HubertModel, UniSpeechModel, UniSpeechSatModel.

    Args:
        model: The model.
        normalize: Whether each waveform is brought to zero mean and unit variance.
    """

    calls = "hf"  # how an attention is called, see upstream/blocks.py

    def __init__(self, model: nn.Module, normalize: bool, dtype: str, dropout: float):
        config = model.config
        states = config.num_hidden_layers + 1
        super().__init__(states, config.hidden_size, self.samples(config), dtype)
        self.model = model
        self.normalize = normalize
        set_dropout(model, 0.0)
        set_dropout(model.encoder.layers, dropout)
        replace_attention(self.blocks())
        self.freeze()

    @staticmethod
    def samples(config) -> int:
        """Of a frame of the hidden states."""
        return math.prod(config.conv_stride)

    @property
    def pre_norm(self) -> bool:
        """Whether norms stand before attention and feed-forward part, and one after the top."""
        return getattr(self.model.config, "do_stable_layer_norm", False)

    def normalise(self, clip):
        if not self.normalize:
            return clip
        return (clip - clip.mean()) / (clip.var(unbiased=False) + 1e-7).sqrt()

    def normalise_equal(self, wavs):
        return standard(wavs, 1e-7) if self.normalize else wavs

    def blocks(self):
        return [hf_block(b, self.pre_norm, self.calls) for b in self.model.encoder.layers]

    def final_norm(self):
        return self.model.encoder.layer_norm if self.pre_norm else None

    def mask_embedding(self):
        return getattr(self.model, "masked_spec_embed", None)  # absent where it was not trained

    def project(self, features):
        projected = self.model.feature_projection(features)
        return projected[0] if isinstance(projected, tuple) else projected

    def transform(self, x, padding, layers):
        encoder = self.model.encoder
        x = x + self.positions(x, padding)
        if not self.pre_norm:
            x = encoder.layer_norm(x)
        return self.run_blocks(x, padding, layers, 0)

    def positions(self, x: torch.Tensor, padding: torch.Tensor | None) -> torch.Tensor:
        """(B, T, D), zero in padded frames -> (B, T, D)."""
        return self.model.encoder.pos_conv_embed(x)

    def run_blocks(self, x, padding, layers, first):
        encoder = self.model.encoder
        mask, carried = self.attended(x, padding), self.carried(x) if first else None
        states = {}
        for i in range(first, max(layers) + 1):
            if i > first:
                x, carried = self.block(encoder.layers[i - 1], x, mask, carried)
            if i in layers:
                states[i] = x
        top = self.num_layers - 1
        if self.final_norm() is not None and top in states:
            states[top] = self.final_norm()(states[top])
        return states

    def attended(self, x: torch.Tensor, padding: torch.Tensor | None) -> torch.Tensor | None:
        """(B, T) bool, True where padded -> the mask as the blocks take it."""
        if padding is None:
            return None
        return ~padding[:, None, None, :].expand(-1, 1, x.shape[1], -1)  # (B, 1, T, T)

    def carried(self, x: torch.Tensor):
        """What the first block would hand to the others, for x (B, T, D)."""
        return None

    def block(self, block, x, mask, carried):
        """One block on x (B, T, D); returns x and what the next block is handed."""
        return self.run(block, x, attention_mask=mask), carried


class HFWavLM(HFUpstream):
    """WavLMModel: the first block makes a relative position bias that the others are handed."""

    calls = "hf_wavlm"

    def attended(self, x, padding):
        return None if padding is None else (~padding).long()

    def carried(self, x):
        attention = self.model.encoder.layers[0].attention
        return attention.compute_bias(x.shape[1], x.shape[1]).repeat(len(x), 1, 1)

    def block(self, block, x, mask, carried):
        return self.run(block, x, attention_mask=mask, position_bias=carried)


class HFData2vec(HFUpstream):
    """Data2VecAudioModel: several convolutions give positions, each meeting zeros at the end."""

    pre_norm = False

    def positions(self, x, padding):
        x = x.transpose(1, 2)  # (B, D, T)
        for number, layer in enumerate(self.model.encoder.pos_conv_embed.layers):
            if number > 0 and padding is not None:
                x = x.masked_fill(padding[:, None, :], 0.0)
            x = layer(x)
        return x.transpose(1, 2)


class HFSew(HFUpstream):
    """SEWModel: the blocks see two frames as one, which are the hidden states here.

    The layer above them that makes two frames of one again is left out.

    Source:
        Wu et al., "Performance-Efficiency Trade-offs in Unsupervised Pre-training for Speech
        Recognition", ICASSP 2022.
    """

    pre_norm = False

    @staticmethod
    def samples(config) -> int:
        return math.prod(config.conv_stride) * config.squeeze_factor

    def project(self, features):
        features = self.model.layer_norm(features)
        return self.model.feature_projection(features) if self.model.project_features else features

    def encode(self, clips, layers, mask=None):
        if mask is not None:  # of the frames before two become one
            mask = mask[0].repeat_interleave(self.model.config.squeeze_factor, dim=1), mask[1]
        return super().encode(clips, layers, mask)

    def transformed(self, frames):
        return frames // self.model.config.squeeze_factor

    def transform(self, x, padding, layers):
        encoder, squeeze = self.model.encoder, self.model.config.squeeze_factor
        x = x.transpose(1, 2)
        pooled, positions = encoder.pool(x), encoder.pos_conv_embed(x)
        x = (pooled + positions[:, :, : pooled.shape[2]]).transpose(1, 2)
        if padding is not None:  # of two frames one is made if both are there
            padding = padding[:, squeeze - 1 :: squeeze]
        return self.run_blocks(encoder.layer_norm(x), padding, layers, 0)
