# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Backend `emotion2vec`: emotion2vec and emotion2vec+ from the files that FunASR uses.

Read from the checkpoint itself and, if it is a folder, from its config.yaml; no code of a
checkpoint's folder is run, and FunASR is not needed. The tokens that the model puts before the
frames take part in attention and are left out of the hidden states, as in FunASR's own features.
Hidden state 0 is the input of the first block; the last is what FunASR returns as features.

Source:
    Ma et al., "emotion2vec: Self-Supervised Pre-Training for Speech Emotion Representation",
    Findings of ACL 2024.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from sertl.errors import SertlError
from sertl.upstream.build import BACKENDS, note_of
from sertl.upstream.data2vec2 import AltBlock, alibi, block_tensors, count_blocks, take
from sertl.upstream.encoder import set_dropout
from sertl.upstream.native import STRIDE, FrameUpstream, standard
from sertl.upstream.tensor_files import named_tensors, weights_in
from sertl.yaml_text import load_yaml

AUDIO = "modality_encoders.AUDIO."
CONVOLVED, CONTEXT = f"{AUDIO}local_encoder.conv_layers.", f"{AUDIO}context_encoder."
POSITIONS = f"{AUDIO}relative_positional_encoder."
PREFIXES = ("", "d2v_model.", "model.")  # of the names in a checkpoint
CONVOLUTIONS = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))  # kernel, stride
WEIGHTS = ("model.pt", "emotion2vec_base.pt", "pytorch_model.bin")
# What config.yaml may say otherwise, and what is read here alone
ONLY = {"layer_norm_first": False, "normalize": True}
ONLY_AUDIO = {"conv_pos_pre_ln": False, "extractor_mode": "layer_norm", "learned_alibi": False}


class ConvLayer(nn.Module):
    """Convolution, layer norm over channels, GELU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int):
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, bias=False)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, C, N) -> (b, C', N')."""
        return F.gelu(self.norm(self.conv(x).transpose(1, 2)).transpose(1, 2))


class Frontend(nn.Module):
    """The convolutions under the name that FrameUpstream expects."""

    def __init__(self, channels: int):
        super().__init__()
        inputs = [1] + [channels] * (len(CONVOLUTIONS) - 1)
        self.conv_layers = nn.ModuleList(
            ConvLayer(n, channels, *shape) for n, shape in zip(inputs, CONVOLUTIONS, strict=True)
        )


@dataclass(frozen=True)
class Shape:
    """Sizes of a model: C, D, heads, inner size, blocks, tokens, and its positions."""

    channels: int
    size: int
    heads: int
    inner: int
    blocks: int
    tokens: int
    position_layers: int
    position_groups: int
    kernel: int
    eps: float


class Emotion2vecModel(nn.Module):
    """The tensors of the encoder, under names of their own."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.feature_extractor = Frontend(shape.channels)
        self.layer_norm = nn.LayerNorm(shape.channels)
        self.projection = nn.Linear(shape.channels, shape.size)
        self.positions = nn.ModuleList(
            nn.Conv1d(
                *(shape.size, shape.size, shape.kernel),
                padding=shape.kernel // 2,
                groups=shape.position_groups,
            )
            for _ in range(shape.position_layers)
        )
        self.extra_tokens = nn.Parameter(torch.zeros(1, shape.tokens, shape.size))
        self.alibi_scale = nn.Parameter(torch.ones(1, shape.heads))  # a row for each block, or one
        self.norm = nn.LayerNorm(shape.size, shape.eps)
        self.layers = nn.ModuleList(
            AltBlock(shape.size, shape.heads, shape.inner, shape.eps) for _ in range(shape.blocks)
        )


class Emotion2vecUpstream(FrameUpstream):
    """See the module's docstring."""

    def __init__(self, model: Emotion2vecModel, dtype: str = "float32", dropout: float = 0.0):
        size = model.projection.out_features
        super().__init__(len(model.layers) + 1, size, STRIDE, dtype)
        self.model = model
        set_dropout(model.layers, dropout)
        self.freeze()

    def normalise(self, clip):
        return F.layer_norm(clip, clip.shape)

    def normalise_equal(self, wavs):
        return standard(wavs, 1e-5)

    def project(self, features):
        return self.model.projection(self.model.layer_norm(features))

    def transform(self, x, padding, layers):
        x = self.model.norm(x + self.positions(x, padding))
        return self.run_blocks(x, padding, layers, 0)

    def positions(self, x: torch.Tensor, padding: torch.Tensor | None) -> torch.Tensor:
        """(B, T, D) -> (B, T, D): each convolution meets zeros after a clip's end."""
        x = x.transpose(1, 2)  # (B, D, T)
        for number, convolution in enumerate(self.model.positions):
            if number > 0 and padding is not None:
                x = x.masked_fill(padding[:, None, :], 0.0)
            x = convolution(x)[:, :, : x.shape[2]].transpose(1, 2)
            x = F.gelu(F.layer_norm(x, x.shape[2:])).transpose(1, 2)
        return x.transpose(1, 2)

    def check_resume(self, first):
        super().check_resume(first)
        if first > 0:
            raise SertlError(
                f"upstream_conf.from_layer is {first}: emotion2vec's blocks see tokens beside the "
                "frames, which are not in a dump; it can go on from 0, what enters the first block"
            )

    def run_blocks(self, x, padding, layers, first):
        model, tokens = self.model, self.model.extra_tokens.shape[1]
        beside = model.norm(model.extra_tokens).expand(x.shape[0], -1, -1)
        x = torch.cat([beside.to(x.dtype), x], dim=1)  # (B, K + T, D)
        bias = F.pad(alibi(x.shape[1] - tokens, self.heads, x.device), (tokens, 0, tokens, 0))
        scale = model.alibi_scale.clamp_min(0)  # (1 or blocks, H)
        kept = None
        if padding is not None:
            kept = F.pad(~padding, (tokens, 0), value=True)[:, None, None, :]
        states = {}
        for i in range(first, max(layers) + 1):
            if i > first:
                factor = scale[0 if len(scale) == 1 else i - 1]
                scores = (bias * factor[:, None, None])[None].to(x.dtype)
                if kept is not None:
                    scores = scores.masked_fill(~kept, -torch.inf)
                x = self.run(model.layers[i - 1], x, scores)
            if i in layers:
                states[i] = x[:, tokens:]
        return states

    @property
    def heads(self) -> int:
        return self.model.layers[0].attn.num_heads

    def blocks(self):
        return [block.view() for block in self.model.layers]


def load_emotion2vec(ckpt: str | Path) -> Emotion2vecModel:
    """Load a checkpoint file, or a folder with one and config.yaml.

    Raises:
        SertlError: No checkpoint, or one with code in it; a form that is not emotion2vec's.
    """
    ckpt = Path(ckpt)
    file, conf = ckpt, {}
    if ckpt.is_dir():
        file = weights_in(ckpt, WEIGHTS)
        if (ckpt / "config.yaml").is_file():
            conf = load_yaml(ckpt / "config.yaml").get("model_conf", {})
    tensors = read_tensors(file)
    return fill(tensors, conf, str(ckpt))


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint, without the outer names that trainers give them."""
    found = named_tensors(file)
    for prefix in PREFIXES:
        if f"{prefix}{AUDIO}extra_tokens" in found:
            return {k.removeprefix(prefix): t for k, t in found.items() if k.startswith(prefix)}
    raise SertlError(f"{file}: no {AUDIO}extra_tokens in it; it is no emotion2vec")


def fill(tensors: dict[str, torch.Tensor], conf: dict, where: str) -> Emotion2vecModel:
    """A model of the shape that tensors and config.yaml say."""
    audio = (conf.get("modalities") or {}).get("audio") or {}
    for said, only in ((conf, ONLY), (audio, ONLY_AUDIO)):
        for key, value in only.items():
            if said.get(key, value) != value:
                raise SertlError(f"{where}: {key} is {said[key]!r}; only {value!r} is known here")
    scale = take(tensors, f"{AUDIO}alibi_scale").flatten(1)  # (1 or blocks, 1 or H)
    tokens = take(tensors, f"{AUDIO}extra_tokens")  # (1, K, D)
    size = tokens.shape[2]
    heads = int(conf.get("num_heads", scale.shape[1] if scale.shape[1] > 1 else size // 64))
    prefixes = [
        f"{part}blocks.{n}."
        for part in (CONTEXT, "")
        for n in range(count_blocks(tensors, f"{part}blocks."))
    ]
    convolution = take(tensors, f"{POSITIONS}1.0.weight")
    shape = Shape(
        channels=take(tensors, f"{CONVOLVED}0.0.weight").shape[0],
        size=size,
        heads=heads,
        inner=take(tensors, "blocks.0.mlp.fc1.weight").shape[0],
        blocks=len(prefixes),
        tokens=tokens.shape[1],
        position_layers=sum(
            key.startswith(POSITIONS) and key.endswith(".0.weight") for key in tensors
        ),
        position_groups=size // convolution.shape[1],
        kernel=convolution.shape[2],
        eps=float(conf.get("norm_eps", 1e-5)),
    )
    if len(scale) not in (1, shape.blocks):
        raise SertlError(f"{where}: {len(scale)} scales of attention for {shape.blocks} blocks")
    model = Emotion2vecModel(shape)
    model.alibi_scale = nn.Parameter(scale.expand(-1, heads).clone())
    state = {"alibi_scale": model.alibi_scale, "extra_tokens": tokens}
    state |= renamed(tensors, shape)
    for n, prefix in enumerate(prefixes):
        found = block_tensors(tensors, prefix)
        state |= {f"layers.{n}.{key}": tensor for key, tensor in found.items()}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise SertlError(f"{where}: tensors do not fit each other: {error}") from error
    return model


def renamed(tensors: dict[str, torch.Tensor], shape: Shape) -> dict[str, torch.Tensor]:
    """What stands before the blocks, under Emotion2vecModel's names."""
    names = {}
    for n in range(len(CONVOLUTIONS)):
        names[f"feature_extractor.conv_layers.{n}.conv.weight"] = f"{CONVOLVED}{n}.0.weight"
    for kind in ("weight", "bias"):
        for n in range(len(CONVOLUTIONS)):
            names[f"feature_extractor.conv_layers.{n}.norm.{kind}"] = f"{CONVOLVED}{n}.2.1.{kind}"
        names[f"layer_norm.{kind}"] = f"{AUDIO}project_features.1.{kind}"
        names[f"projection.{kind}"] = f"{AUDIO}project_features.2.{kind}"
        names[f"norm.{kind}"] = f"{CONTEXT}norm.{kind}"
        for n in range(shape.position_layers):
            names[f"positions.{n}.{kind}"] = f"{POSITIONS}{n + 1}.0.{kind}"
    return {own: take(tensors, name) for own, name in names.items()}


@BACKENDS.register("emotion2vec")
class Emotion2vecBackend:
    """FunASR's model.pt, alone or in its folder."""

    @staticmethod
    def entry(conf: dict) -> str:
        if conf["ckpt"] is None:
            raise SertlError(f"emotion2vec needs --ckpt, a FunASR folder or file{note_of(conf)}")
        return "emotion2vec"

    @staticmethod
    def build(conf: dict) -> Emotion2vecUpstream:
        model = load_emotion2vec(conf["ckpt"])
        return Emotion2vecUpstream(model, conf["dtype"], conf["dropout"])
