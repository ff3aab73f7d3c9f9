# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Backend `eat`: the Efficient Audio Transformer, from a Hugging Face folder or its weights.

A ViT over patches of 16 mel frames by 16 bins, so that a hidden state has 6.25 frames a second; the
patches of one moment, one for each part of the spectrum, are averaged. The token of the whole clip
takes part in attention and is left out of the hidden states. No code of a folder is run.

Patches are made of a clip's own frames, padded as in training to a whole patch; a clip longer than
the table of positions is cut into windows of that length, encoded apart and joined.

Source:
    Chen et al., "EAT: Self-Supervised Pre-Training with Efficient Audio Transformer", IJCAI 2024.
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from sertl.errors import SertlError
from sertl.upstream.build import BACKENDS, note_of
from sertl.upstream.data2vec2 import AltBlock, block_tensors, count_blocks, take
from sertl.upstream.encoder import Upstream, set_dropout
from sertl.upstream.padding import frame_padding, join, repeat_last, stack_frames
from sertl.upstream.tensor_files import named_tensors, weights_in

PATCH, BINS, HOP, WINDOW = 16, 128, 160, 400
MEAN, STD = -4.268, 4.569  # of AudioSet's filter-banks
SILENCE = -MEAN / (2 * STD)  # training pads with zeros before it normalises
STRIDE = PATCH * HOP
KEY = "local_encoder.proj.weight"
PREFIXES = ("", "model.", "modality_encoders.IMAGE.")
WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.pt")
ONLY = {"layer_norm_first": False, "patch_size": PATCH, "stride": PATCH, "mel_bins": BINS}


def mel_frames(wav: torch.Tensor) -> torch.Tensor:
    """(N,) -> (M, 128): Kaldi's log filter-banks of the clip without its mean, normalised."""
    from torchaudio.compliance.kaldi import fbank  # a second of import that only this model needs

    with torch.autocast(wav.device.type, enabled=False):
        mel = fbank(
            (wav - wav.mean())[None],
            num_mel_bins=BINS,
            sample_frequency=16000,
            htk_compat=True,
            use_energy=False,
            window_type="hanning",
            dither=0.0,
            frame_shift=10.0,
        )
    return (mel - MEAN) / (2 * STD)


def sincos(rows: int, columns: int, size: int) -> torch.Tensor:
    """(rows x columns, size): fixed positions of a grid, the half of columns first."""

    def along(count: int) -> torch.Tensor:
        rates = 1.0 / 10000 ** (torch.arange(size // 4, dtype=torch.float64) / (size / 4))
        angles = torch.arange(count, dtype=torch.float64)[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    over = along(rows)[:, None].expand(-1, columns, -1)
    across = along(columns)[None].expand(rows, -1, -1)
    return torch.cat([across, over], dim=2).flatten(0, 1).float()


class EatModel(nn.Module):
    """The tensors of the encoder."""

    def __init__(self, size: int, heads: int, inner: int, blocks: int, positions: int, eps: float):
        super().__init__()
        self.patches = nn.Conv2d(1, size, PATCH, PATCH)
        self.extra_tokens = nn.Parameter(torch.zeros(1, 1, size))
        self.pre_norm = nn.LayerNorm(size, eps)
        self.layers = nn.ModuleList(AltBlock(size, heads, inner, eps) for _ in range(blocks))
        self.register_buffer("positions", torch.zeros(positions, size))


class EatUpstream(Upstream):
    """See the module's docstring."""

    def __init__(self, model: EatModel, dtype: str = "float32", dropout: float = 0.0):
        super().__init__(len(model.layers) + 1, model.pre_norm.normalized_shape[0], STRIDE, dtype)
        self.model = model
        self.across = BINS // PATCH
        self.longest = len(model.positions) // self.across  # moments
        set_dropout(model.layers, dropout)
        self.freeze()

    def encode(self, clips, layers, mask=None):
        if mask is not None:
            raise SertlError("EAT's patches cannot be masked here; set data_conf.time_mask=0")
        windows, owner = [], []
        for row, clip in enumerate(clips):
            mel = mel_frames(F.pad(clip, (0, max(0, WINDOW - len(clip)))))
            for part in mel.split(self.longest * PATCH):
                windows.append(F.pad(part, (0, 0, 0, -len(part) % PATCH), value=SILENCE))
                owner.append(row)
        moments = [len(window) // PATCH for window in windows]
        with torch.no_grad():  # as the convolutions of the others
            mel, _ = stack_frames(windows)  # (W, M, 128)
            x = self.model.patches(mel[:, None]).flatten(2).transpose(1, 2)  # (W, T x 8, D)
        x = x + self.model.positions[: x.shape[1]]
        states = self.run_blocks(x, moments, layers)
        wanted = [math.ceil(len(clip) / STRIDE) for clip in clips]
        joined, frames = join(states, moments, owner)
        return {i: repeat_last(x, frames, wanted) for i, x in joined.items()}, wanted

    def run_blocks(self, x: torch.Tensor, moments: list[int], layers: set[int]) -> dict:
        """(W, T x 8, D) -> layer: (W, T, D)."""
        model = self.model
        x = model.pre_norm(torch.cat([model.extra_tokens.expand(len(x), -1, -1), x], dim=1))
        scores = None
        if min(moments) < max(moments):
            padding = frame_padding([self.across * m for m in moments], x.device)
            padding = F.pad(padding, (1, 0), value=False)[:, None, None, :]
            scores = torch.zeros_like(padding, dtype=x.dtype).masked_fill(padding, -torch.inf)
        states = {}
        for i in range(max(layers) + 1):
            if i > 0:
                x = self.run(model.layers[i - 1], x, scores)
            if i in layers:
                states[i] = x[:, 1:].unflatten(1, (-1, self.across)).mean(dim=2)
        return states

    def blocks(self):
        return [block.view() for block in self.model.layers]


def load_eat(ckpt: str | Path) -> EatModel:
    """Load a folder with config.json, or a file of weights.

    Raises:
        SertlError: No weights, or those of something else.
    """
    ckpt = Path(ckpt)
    file, conf = ckpt, {}
    if ckpt.is_dir():
        file = weights_in(ckpt, WEIGHTS)
        if (ckpt / "config.json").is_file():
            conf = json.loads((ckpt / "config.json").read_text(encoding="utf-8"))
    for key, value in ONLY.items():
        if conf.get(key, value) != value:
            raise SertlError(f"{ckpt}: {key} is {conf[key]!r}; only {value!r} is known here")
    found = named_tensors(file)
    prefix = next((p for p in PREFIXES if f"{p}{KEY}" in found), None)
    if prefix is None:
        raise SertlError(f"{file}: no {KEY} in it; it is no EAT")
    outer = "" if prefix == "modality_encoders.IMAGE." else prefix  # blocks of fairseq's file
    return fill(found, prefix, outer, conf)


def fill(tensors: dict, prefix: str, outer: str, conf: dict) -> EatModel:
    """A model of the shape that the tensors say."""
    weight = take(tensors, f"{prefix}{KEY}")
    size, blocks = weight.shape[0], count_blocks(tensors, f"{outer}blocks.")
    name = f"{prefix}fixed_positional_encoder.positions"
    positions = tensors.get(name)
    if positions is None:
        positions = sincos(int(conf.get("max_length", 768)), BINS // PATCH, size)
    positions = positions.float().reshape(-1, size)
    model = EatModel(
        size,
        int(conf.get("num_heads", size // 64)),
        take(tensors, f"{outer}blocks.0.mlp.fc1.weight").shape[0],
        blocks,
        len(positions),
        float(conf.get("norm_eps", 1e-6)),
    )
    norm = f"{prefix}context_encoder.norm" if not outer and prefix else f"{outer}pre_norm"
    state = {
        "patches.weight": weight,
        "patches.bias": take(tensors, f"{prefix}local_encoder.proj.bias"),
        "extra_tokens": take(tensors, f"{prefix}extra_tokens"),
        "pre_norm.weight": take(tensors, f"{norm}.weight"),
        "pre_norm.bias": take(tensors, f"{norm}.bias"),
        "positions": positions,
    }
    for n in range(blocks):
        found = block_tensors(tensors, f"{outer}blocks.{n}.")
        state |= {f"layers.{n}.{key}": tensor for key, tensor in found.items()}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise SertlError(f"tensors do not fit each other: {error}") from error
    return model


@BACKENDS.register("eat")
class EatBackend:
    """A Hugging Face folder of EAT, or its weights alone."""

    @staticmethod
    def entry(conf: dict) -> str:
        if conf["ckpt"] is None:
            raise SertlError(f"EAT needs --ckpt, a folder or a file{note_of(conf)}")
        return "eat"

    @staticmethod
    def build(conf: dict) -> EatUpstream:
        return EatUpstream(load_eat(conf["ckpt"]), conf["dtype"], conf["dropout"])
