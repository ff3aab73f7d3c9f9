# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""wav2vec 2.0, HuBERT, data2vec and WavLM, exact in padded batches, stopping where asked.

S3PRL's own batch forward changes features by up to a third: group norm in the convolutions counts
the padding, and the padding mask is coarser than a frame. Here the convolutions see each clip
alone, and the Transformer, which is most of the work, sees a batch with a mask exact to the frame.
The objects are those that S3PRL built and are called in place (`model.encoder.layers[i]`), so
whatever is put into a block takes effect.

Frames: T = ceil(N / 320). The convolutions yield one or two fewer; the last frame is repeated.
A clip under 800 samples is padded with zeros to 800 first. Both are S3PRLUpstream's rules.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from sertl.upstream.attention import replace_attention
from sertl.upstream.blocks import fairseq_block
from sertl.upstream.encoder import Upstream, in_float32, set_dropout
from sertl.upstream.padding import (
    each_alone,
    frame_padding,
    repeat_last,
    replace_frames,
    stack_frames,
)

STRIDE = 320
MIN_SAMPLES = 800  # 0.05 s, below which S3PRLUpstream pads


class FrameUpstream(Upstream):
    """Convolutions per clip, Transformer per batch, last frame repeated; shared with hf.py."""

    def encode(self, clips, layers, mask=None):
        wanted = [math.ceil(len(clip) / self.stride) for clip in clips]
        clips = [F.pad(clip, (0, max(0, MIN_SAMPLES - len(clip)))) for clip in clips]
        with torch.no_grad():  # never trained, as in S3PRL's and most published fine-tuning
            features = each_alone([self.normalise(clip) for clip in clips], self.convolve)
        x, frames = stack_frames(features)  # (B, T, C)
        padding = frame_padding(frames, x.device)  # (B, T)
        with in_float32(x):
            x = replace_frames(self.project(x.float()), mask)  # (B, T, D)
            x = x.masked_fill(padding[:, :, None], 0.0)
        states = self.transform(x, padding if min(frames) < max(frames) else None, layers)
        frames = [self.transformed(count) for count in frames]
        return {i: repeat_last(h, frames, wanted) for i, h in states.items()}, wanted

    def transformed(self, frames: int) -> int:
        """Frames that transform makes of so many."""
        return frames

    def encode_equal(self, wavs, layers):
        features = self.convolve(self.normalise_equal(wavs))
        with in_float32(features):
            x = self.project(features.float())
        states = self.transform(x, None, set(layers))
        wanted = (wavs.shape[1] + self.stride - 1) // self.stride
        # The convolutions yield one or two frames fewer; the last is repeated.
        index = torch.arange(wanted).clamp(max=self.transformed(x.shape[1]) - 1)
        return [states[i][:, index] for i in layers], wanted

    def normalise_equal(self, wavs: torch.Tensor) -> torch.Tensor:
        """(B, N) -> (B, N): normalise, each row by itself."""
        raise NotImplementedError

    def windows(self, num_samples):
        frames = max(num_samples, MIN_SAMPLES)
        for layer in self.model.feature_extractor.conv_layers:
            conv = layer.conv if hasattr(layer, "conv") else layer[0]
            frames = (frames - conv.kernel_size[0]) // conv.stride[0] + 1
        return [min(self.transformed(frames), math.ceil(num_samples / self.stride))]

    def encode_from(self, first, stretches, owner, layers):
        x, frames = stack_frames(stretches)  # (B, T, D); a clip is one stretch
        padding = frame_padding(frames, x.device)
        x = x.masked_fill(padding[:, :, None], 0.0)
        padding = padding if min(frames) < max(frames) else None
        return self.run_blocks(x, padding, layers, first), frames

    def run_blocks(
        self, x: torch.Tensor, padding: torch.Tensor | None, layers: set[int], first: int
    ) -> dict[int, torch.Tensor]:
        """Hidden states of layers, as transform's, from hidden state `first` on."""
        raise NotImplementedError

    def normalise(self, clip: torch.Tensor) -> torch.Tensor:
        """(N,) -> (N,): the scaling of the whole waveform that the encoder was trained with."""
        raise NotImplementedError

    def convolve(self, wavs: torch.Tensor) -> torch.Tensor:
        """(b, N) without padding -> (b, T, C)."""
        first, *rest = self.model.feature_extractor.conv_layers
        with in_float32(wavs):
            x = first(wavs.unsqueeze(1))  # (b, C, N')
        for layer in rest:
            x = layer(x)
        return x.transpose(1, 2)

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """(B, T, C) -> (B, T, D), frame by frame."""
        raise NotImplementedError

    def transform(
        self, x: torch.Tensor, padding: torch.Tensor | None, layers: set[int]
    ) -> dict[int, torch.Tensor]:
        """Hidden states of layers.

        Args:
            x: (B, T, D), zero in padded frames.
            padding: (B, T) bool, True where padded; None if nothing is.
            layers: Which to return.

        Returns:
            layer -> (B, T, D), anything in padded frames.
        """
        raise NotImplementedError


def standard(wavs: torch.Tensor, eps: float) -> torch.Tensor:
    """(B, N) rows at zero mean and unit variance."""
    middle = wavs - wavs.mean(dim=1, keepdim=True)
    return middle / (middle.square().mean(dim=1, keepdim=True) + eps).sqrt()


class NativeUpstream(FrameUpstream):
    """S3PRL's wav2vec 2.0, HuBERT and data2vec models.

    Args:
        model: Wav2Vec2Model, HubertModel or Data2VecAudioModel of S3PRL.
        normalize: Whether the model wants each waveform at zero mean and unit variance.
    """

    calls = "fairseq"  # how an attention is called, see upstream/blocks.py

    def __init__(self, model: nn.Module, normalize: bool, dtype: str, dropout: float):
        encoder = model.encoder
        super().__init__(len(encoder.layers) + 1, encoder.embedding_dim, STRIDE, dtype)
        self.model = model
        self.normalize = normalize
        model.encoder.layerdrop = 0.0
        set_dropout(encoder.layers, dropout)
        replace_attention(self.blocks())
        self.freeze()

    def normalise(self, clip):
        return F.layer_norm(clip, clip.shape) if self.normalize else clip

    def normalise_equal(self, wavs):
        return standard(wavs, 1e-5) if self.normalize else wavs

    def blocks(self):
        encoder = self.model.encoder
        return [fairseq_block(b, encoder.layer_norm_first, self.calls) for b in encoder.layers]

    def final_norm(self):
        return self.model.encoder.layer_norm if self.model.encoder.layer_norm_first else None

    def mask_embedding(self):
        return self.model.mask_emb

    def project(self, features):
        features = self.model.layer_norm(features)
        projection = self.model.post_extract_proj
        return features if projection is None else projection(features)

    def transform(self, x, padding, layers):
        encoder = self.model.encoder
        x = x + self.positions(x, padding)
        if not encoder.layer_norm_first:
            x = encoder.layer_norm(x)
        return self.run_blocks(x, padding, layers, 0)

    def run_blocks(self, x, padding, layers, first):
        encoder = self.model.encoder
        x = x.transpose(0, 1).contiguous()  # (T, B, D)
        states, carried = {}, self.carried(x) if first else None
        for i in range(first, max(layers) + 1):
            if i > first:
                x, carried = self.block(encoder.layers[i - 1], x, padding, carried)
            if i in layers:
                states[i] = x.transpose(0, 1)
        if encoder.layer_norm_first and self.num_layers - 1 in states:
            states[self.num_layers - 1] = encoder.layer_norm(states[self.num_layers - 1])
        return states

    def positions(self, x: torch.Tensor, padding: torch.Tensor | None) -> torch.Tensor:
        """(B, T, D) -> (B, T, D): convolutional positions; each convolution meets zeros at the end.

        data2vec stacks several convolutions; the padded frames are no longer zero after the first.
        """
        stack = self.model.encoder.pos_conv
        stack = stack if isinstance(stack[0], nn.Sequential) else [stack]
        x = x.transpose(1, 2)  # (B, D, T)
        for k, convolution in enumerate(stack):
            if k > 0 and padding is not None:
                x = x.masked_fill(padding[:, None, :], 0.0)
            x = convolution(x)
        return x.transpose(1, 2)

    def carried(self, x):
        """What the first block would hand to the others, for x (T, B, D)."""
        return None

    def block(self, block, x, padding, carried):
        """One Transformer block on x (T, B, D); returns x and what the next block is handed."""
        x, _ = self.run(block, x, self_attn_padding_mask=padding, need_weights=False)
        return x, carried


class WavLMUpstream(NativeUpstream):
    """S3PRL's WavLM: the first block makes a relative position bias that the others are handed."""

    calls = "wavlm"

    def carried(self, x):
        attention = self.model.encoder.layers[0].self_attn
        bias = attention.compute_bias(x.shape[0], x.shape[0])  # (H, T, T)
        return bias.repeat(x.shape[1], 1, 1)

    def block(self, block, x, padding, carried):
        if padding is not None:  # added to the bias, so of its kind: 0 or -inf
            padding = torch.zeros_like(padding, dtype=x.dtype).masked_fill(padding, -torch.inf)
        x, _, carried = self.run(
            block, x, self_attn_padding_mask=padding, need_weights=False, pos_bias=carried
        )
        return x, carried


def build_native(family: str, expert: nn.Module, dtype: str, dropout: float) -> Upstream | None:
    """Take the model out of an S3PRL expert; None if it is of a kind that is not known here.

    Args:
        family: hubert | wav2vec2 | data2vec | wavlm.
        expert: S3PRL's UpstreamExpert. It is dropped, after removing its forward hooks, which
            would keep every hidden state alive.
    """
    model = expert.model
    block = type(model.encoder.layers[0]).__name__
    quantised = getattr(model, "input_quantizer", None) is not None
    cropped = getattr(model, "crop_seq_to_multiple", 1) != 1
    if block != "TransformerSentenceEncoderLayer" or quantised or cropped:
        return None  # e.g. the Conformer variants of wav2vec 2.0
    expert.remove_all_hooks()
    if family == "wavlm":
        return WavLMUpstream(model, bool(expert.cfg.normalize), dtype, dropout)
    normalize = expert.task_cfg.normalize if family == "hubert" else expert.wav_normalize
    return NativeUpstream(model, bool(normalize), dtype, dropout)
