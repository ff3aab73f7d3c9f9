# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""EAT against the published computation, written out here; batches, windows, foreign files."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from awkward_clips import CONF_DIR, LENGTHS, relative
from safetensors.torch import load_file, save_file
from torchaudio.compliance.kaldi import fbank

from sertl.errors import SertlError
from sertl.peft.inject import inject
from sertl.upstream.build import build_upstream, load_conf
from sertl.upstream.eat import load_eat, sincos
from sertl.upstream.tiny import HEADS, SIZE, save_eat


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("eat")
    save_eat(path)
    return path


@pytest.fixture
def upstream(folder):
    shape = {"num_layers": 4, "hidden_size": SIZE, "stride": 2560, "backend": "eat"}
    return build_upstream({**load_conf("tiny_hubert", CONF_DIR), **shape, "ckpt": str(folder)})


def published(tensors, wav):
    """Hidden states of one clip, patch by patch, the token of the clip left out at the end."""
    t = {k.removeprefix("model."): v for k, v in tensors.items()}
    shape = {"num_mel_bins": 128, "frame_shift": 10, "window_type": "hanning", "dither": 0.0}
    wav = (wav - wav.mean())[None]
    mel = fbank(wav, htk_compat=True, sample_frequency=16000, use_energy=False, **shape)
    mel = F.pad(mel, (0, 0, 0, -len(mel) % 16))
    mel = (mel + 4.268) / (4.569 * 2)
    rows = []
    for first in range(0, len(mel), 16):
        for low in range(0, 128, 16):
            patch = mel[first : first + 16, low : low + 16]
            weight = t["local_encoder.proj.weight"].flatten(1)
            rows.append(weight @ patch.flatten() + t["local_encoder.proj.bias"])
    x = torch.stack(rows) + t["fixed_positional_encoder.positions"][0, : len(rows)]
    x = torch.cat([t["extra_tokens"][0], x])

    def norm(name, x):
        return F.layer_norm(x, (SIZE,), t[f"{name}.weight"], t[f"{name}.bias"], 1e-6)

    def linear(name, x):
        return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    x = norm("pre_norm", x)
    states = [x]
    for n in range(3):
        place = f"blocks.{n}"
        qkv = linear(f"{place}.attn.qkv", x).view(len(x), 3, HEADS, -1).permute(1, 2, 0, 3)
        scores = qkv[0] @ qkv[1].transpose(1, 2) / math.sqrt(SIZE // HEADS)
        mixed = (scores.softmax(dim=2) @ qkv[2]).transpose(0, 1).reshape(len(x), SIZE)
        x = norm(f"{place}.norm1", x + linear(f"{place}.attn.proj", mixed))
        inner = F.gelu(linear(f"{place}.mlp.fc1", x))
        x = norm(f"{place}.norm2", x + linear(f"{place}.mlp.fc2", inner))
        states.append(x)
    return [s[1:].view(-1, 8, SIZE).mean(dim=1) for s in states]


def test_equals_the_published_computation_alone_and_in_a_batch(folder, upstream, clips):
    tensors = load_file(folder / "model.safetensors")
    wavs, lens = clips
    batch, frames = upstream(wavs, lens)
    assert frames.tolist() == [-(-n // 2560) for n in LENGTHS]
    for row, length in enumerate(LENGTHS):
        alone, _ = upstream(wavs[row : row + 1, :length], lens[row : row + 1])
        truth = published(tensors, wavs[row, :length]) if length >= 400 else None
        for layer in range(4):
            mine = batch[layer][row, : frames[row]]
            assert relative(mine, alone[layer][0]) < 1e-5
            assert (batch[layer][row, frames[row] :] == 0).all()
            if truth is not None:
                count = min(len(truth[layer]), int(frames[row]))
                assert count >= frames[row] - 1
                assert relative(mine[:count], truth[layer][:count]) < 1e-5


def test_long_clips_are_cut_into_windows(upstream):
    """40 moments are 102,400 samples of frames."""
    wav = 0.1 * torch.randn(1, 240000, generator=torch.Generator().manual_seed(0))
    (states,), frames = upstream(wav, torch.tensor([240000]), [3])
    assert frames.tolist() == [94] and states.isfinite().all()
    short = upstream(wav[:, :8000], torch.tensor([8000]), [3])[0][0]
    both = upstream(torch.cat([wav, F.pad(wav[:, :8000], (0, 232000))]),
                    torch.tensor([240000, 8000]), [3])[0][0]  # fmt: skip
    assert relative(both[1, :4], short[0]) < 1e-5 and relative(both[0], states[0]) < 1e-5


def test_parts_act_and_positions_may_be_missing(folder, upstream, tmp_path):
    inject(upstream, {"lora": {"rank": 2, "alpha": 2, "targets": ["q", "v", "ffn"]}})
    upstream(0.1 * torch.randn(1, 8000), torch.tensor([8000]), [3])[0][0].sum().backward()
    assert all(p.grad is not None for p in upstream.parameters() if p.requires_grad)
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.fixed_positional_encoder.positions"]
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"max_length": 20, "num_heads": HEADS}))
    model = load_eat(tmp_path)
    assert torch.equal(model.positions, sincos(20, 8, SIZE))
    assert sincos(2, 3, 8)[4].tolist() == pytest.approx(  # second row, second column
        [math.sin(1), math.sin(0.01), math.cos(1), math.cos(0.01)] * 2
    )


def test_what_it_does_not_read(folder, tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(SertlError, match="it is no EAT"):
        load_eat(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"layer_norm_first": True}))
    with pytest.raises(SertlError, match="layer_norm_first is True; only False"):
        load_eat(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SertlError, match=r"none of model\.safetensors"):
        load_eat(tmp_path / "empty")
    damaged = (folder / "model.safetensors").read_bytes()[:2000]
    (tmp_path / "empty/model.safetensors").write_bytes(damaged)
    with pytest.raises(SertlError, match="not readable as weights alone"):
        load_eat(tmp_path / "empty")
