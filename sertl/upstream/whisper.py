# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Whisper's encoder on the clip's own frames.

transformers' forward takes nothing but 30 s of input, so that a clip of 3 s costs ten times its
share. Here the same weights run on the clip's own mel frames with the first rows of the position
table. `pad_to_30s` gives back the original: 30 s of zero-padded input, of which the clip's own
frames are kept.

Frames: T = ceil(floor(N / 160) / 2) for N >= 400 samples, shorter clips count as 400. That is
ceil(N / 320) or one less. A clip longer than the position table (30 s) is cut into the fewest
windows of equal length, a multiple of 320 samples (the last is shorter), encoded apart and joined:
the same formula holds for the whole clip.

Hidden state 0 is the input of block 1 (convolutions and positions), state i the output of block i,
and the last one is taken after the final layer norm.
"""

import json
import math
import pickle
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import nn

from sertl.errors import SertlError
from sertl.upstream.attention import replace_attention
from sertl.upstream.blocks import fairseq_block
from sertl.upstream.build import BACKENDS, note_of
from sertl.upstream.encoder import Upstream, in_float32, set_dropout
from sertl.upstream.padding import frame_padding, join, replace_frames, stack_frames

STRIDE = 320
WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
MIN_SAMPLES = 400  # shorter clips are padded with zeros to one window


class LogMel(nn.Module):
    """Log-mel of one clip, as transformers' WhisperFeatureExtractor gives without padding.

    Source:
        Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022.
    """

    def __init__(self, num_mel_bins: int):
        from transformers.audio_utils import mel_filter_bank  # as in load_encoder

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

    def equal(self, wavs: torch.Tensor) -> torch.Tensor:
        """(B, N) -> (B, bins, N // 160): the same by a matrix product instead of an FFT."""
        steps = torch.arange(WINDOW, dtype=torch.float64)
        angles = torch.outer(torch.arange(1 + WINDOW // 2).double(), steps) * (2 * math.pi / WINDOW)
        basis = torch.cat([angles.cos(), -angles.sin()]) * self.window.double()
        wavs = F.pad(wavs[:, None], (WINDOW // 2, WINDOW // 2), mode="reflect")
        parts = F.conv1d(wavs, basis.float()[:, None], stride=HOP)[:, :, :-1]  # (B, 402, M)
        power = parts.square().unflatten(1, (2, 1 + WINDOW // 2)).sum(dim=1)
        mel = (self.filters @ power).clamp(min=1e-10).log10()
        return (torch.maximum(mel, mel.amax(dim=(1, 2), keepdim=True) - 8.0) + 4.0) / 4.0


class WhisperUpstream(Upstream):
    """See the module's docstring.

    Args:
        encoder: transformers' WhisperEncoder.
        dtype: float32 | bf16.
        pad_to_30s: Pad each window with zeros as transformers does, and keep its own frames.
        dropout: In the blocks, when fine-tuned.
    """

    def __init__(
        self,
        encoder: nn.Module,
        dtype: str = "float32",
        pad_to_30s: bool = False,
        dropout: float = 0.0,
    ):
        config = encoder.config
        super().__init__(config.encoder_layers + 1, config.d_model, STRIDE, dtype)
        self.encoder = encoder
        self.logmel = LogMel(config.num_mel_bins)
        self.pad_to_30s = pad_to_30s
        self.max_samples = config.max_source_positions * STRIDE
        set_dropout(encoder.layers, dropout)
        replace_attention(self.blocks())
        self.freeze()

    def encode(self, clips, layers, mask=None):
        windows, owner = [], []
        for row, clip in enumerate(clips):
            for window in cut(clip, self.max_samples):
                windows.append(window)
                owner.append(row)
        frames = [math.ceil(len(w) // HOP / 2) for w in windows]
        x = self.front_end(windows)  # (W, T, D)
        if mask is not None:
            x = replace_frames(x, (cut_mask(mask[0], frames, owner), mask[1]))
        x = x + self.encoder.embed_positions.weight[: x.shape[1]].detach()
        return join(self.run_blocks(x, frames, layers, 0), frames, owner)

    def run_blocks(
        self, x: torch.Tensor, frames: list[int], layers: set[int], first: int
    ) -> dict[int, torch.Tensor]:
        """Hidden states of layers, (W, T, D), from hidden state `first` of W windows on.

        frames: Of each window; none where all are whole.
        """
        padding = None
        if not self.pad_to_30s and frames and min(frames) < x.shape[1]:
            keep = ~frame_padding(frames, x.device)[:, None, None, :]
            padding = keep.expand(-1, 1, x.shape[1], -1)  # (W, 1, T, T), True is attended to
        states = {}
        for i in range(first, max(layers) + 1):
            if i > first:
                x = self.run(self.encoder.layers[i - 1], x, padding)
            if i == self.num_layers - 1:
                x = self.encoder.layer_norm(x)
            if i in layers:
                states[i] = x
        return states

    def encode_equal(self, wavs, layers):
        if self.pad_to_30s:
            raise SertlError("a Whisper with pad_to_30s cannot be exported")
        mel = self.logmel.equal(wavs)  # (B, bins, M)
        with in_float32(mel):
            x = F.gelu(self.encoder.conv1(mel))
            x = F.gelu(self.encoder.conv2(x)).transpose(1, 2)  # (B, T, D)
        x = x + self.encoder.embed_positions.weight[: x.shape[1]]
        states = self.run_blocks(x, [], set(layers), 0)
        return [states[i] for i in layers], x.shape[1]

    def windows(self, num_samples):
        if self.pad_to_30s:
            raise SertlError(
                "upstream_conf.from_layer: with pad_to_30s the blocks see 30 s of frames, of which "
                "the clip's own are dumped; set upstream.pad_to_30s=false"
            )
        lengths = cut_lengths(num_samples, self.max_samples)
        return [math.ceil(n // HOP / 2) for n in lengths]

    def encode_from(self, first, stretches, owner, layers):
        x, frames = stack_frames(stretches)
        return join(self.run_blocks(x, frames, layers, first), frames, owner)

    def blocks(self):
        return [fairseq_block(b, True, "hf") for b in self.encoder.layers]

    def final_norm(self):
        return self.encoder.layer_norm

    @torch.no_grad()
    def front_end(self, windows: list[torch.Tensor]) -> torch.Tensor:
        """W windows (N_w,) -> (W, T, D): log-mel and two convolutions."""
        if self.pad_to_30s:
            windows = [F.pad(w, (0, self.max_samples - len(w))) for w in windows]
        mel, lens = stack_frames([self.logmel(w).T for w in windows])
        padding = frame_padding(lens, mel.device)[:, None, :]  # (W, 1, M)
        with in_float32(mel):
            x = F.gelu(self.encoder.conv1(mel.transpose(1, 2)))  # (W, D, M)
            # Alone, the second convolution meets zeros after the last frame: so it must here.
            x = F.gelu(self.encoder.conv2(x.masked_fill(padding, 0.0)))  # (W, D, T)
        return x.transpose(1, 2)


def cut(clip: torch.Tensor, max_samples: int) -> list[torch.Tensor]:
    """Cut a clip into the fewest windows of equal length that the position table allows."""
    if len(clip) < MIN_SAMPLES:
        return [F.pad(clip, (0, MIN_SAMPLES - len(clip)))]
    return list(clip.split(cut_lengths(len(clip), max_samples)))


def cut_lengths(num_samples: int, max_samples: int) -> list[int]:
    """Samples of each window of a clip, see cut."""
    num_samples = max(num_samples, MIN_SAMPLES)
    count = math.ceil(num_samples / max_samples)
    length = math.ceil(num_samples / count / STRIDE) * STRIDE
    whole = (num_samples - 1) // length
    return [length] * whole + [num_samples - whole * length]


def cut_mask(mask: torch.Tensor, frames: list[int], owner: list[int]) -> torch.Tensor:
    """Cut the mask of each clip, a row of (B, T'), into those of its windows: (W, T)."""
    rows, start = [], [0] * len(mask)
    for count, row in zip(frames, owner, strict=True):
        rows.append(mask[row, start[row] : start[row] + count])
        start[row] += count
    return stack_frames(rows)[0]


def load_encoder(folder: str | Path) -> nn.Module:
    """Load the encoder of a Hugging Face Whisper folder, with or without its decoder.

    Returns:
        transformers' WhisperEncoder.

    Raises:
        SertlError: If a file is missing or broken, or a tensor is missing or has another shape.
    """
    folder = Path(folder)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SertlError(
            f"{folder}: no config.json; --ckpt must be a folder saved by transformers, with "
            "config.json and model.safetensors (or pytorch_model.bin)"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SertlError(f"{folder / 'config.json'}: not valid JSON ({error})") from error
    if config.get("model_type") != "whisper":
        raise SertlError(
            f"{folder / 'config.json'}: model_type is {config.get('model_type')!r}, "
            "expected 'whisper'"
        )
    # Two seconds of import, for which no other encoder waits.
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = WhisperConfig(**config)
    config._attn_implementation = "sdpa"
    with torch.device("meta"):  # nothing is initialised at random: every tensor must be loaded
        encoder = WhisperEncoder(config)
    try:
        encoder.load_state_dict(encoder_weights(folder), strict=True, assign=True)
    except RuntimeError as error:
        raise SertlError(f"{folder}: weights do not fit its config.json: {error}") from error
    return encoder


def encoder_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Read the encoder's tensors as float32, whatever prefix they carry in the file."""
    tensors = {}
    for file in weight_files(folder):
        tensors.update(read_weights(file))
    stem = "conv1.weight"
    found = [key for key in tensors if key == stem or key.endswith(f"encoder.{stem}")]
    if len(found) != 1:
        raise SertlError(f"{folder}: no Whisper encoder in the weights ('{stem}' not found)")
    prefix = found[0].removesuffix(stem)
    return {k.removeprefix(prefix): t.float() for k, t in tensors.items() if k.startswith(prefix)}


def weight_files(folder: Path) -> list[Path]:
    """The file, or the shards, that hold a Hugging Face model's weights."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            return [folder / shard for shard in sorted(set(shards))]
    raise SertlError(f"{folder}: neither model.safetensors nor pytorch_model.bin in it")


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """Read one weight file, without the decoder where the format allows it."""
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as stream:
                keys = [k for k in stream.keys() if "decoder." not in k and "proj_out" not in k]
                return {key: stream.get_tensor(key) for key in keys}
        tensors = torch.load(file, map_location="cpu", weights_only=True)
        return {key: t for key, t in tensors.items() if "decoder." not in key}
    except FileNotFoundError as error:
        raise SertlError(f"{file}: missing, though the index names it") from error
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise SertlError(f"{file}: not readable as weights, truncated? ({error})") from error


def build_whisper(
    ckpt: str | Path, dtype: str = "float32", pad_to_30s: bool = False, dropout: float = 0.0
) -> WhisperUpstream:
    """Build the upstream from a Hugging Face folder."""
    return WhisperUpstream(load_encoder(ckpt), dtype, pad_to_30s, dropout)


@BACKENDS.register("whisper")
class WhisperBackend:
    """Folders saved by transformers."""

    @staticmethod
    def entry(conf: dict) -> str:
        if conf["ckpt"] is None:
            raise SertlError(
                "a Whisper upstream needs a local folder saved by transformers; give --ckpt FOLDER"
                + note_of(conf)
            )
        return "whisper"

    @staticmethod
    def build(conf: dict) -> WhisperUpstream:
        return build_whisper(conf["ckpt"], conf["dtype"], conf["pad_to_30s"], conf["dropout"])
