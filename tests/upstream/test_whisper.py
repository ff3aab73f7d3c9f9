# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Whisper: own frames, batches, the 30 s switch against transformers, long clips, file layouts."""

import json
import shutil

import numpy as np
import pytest
import torch
from awkward_clips import CONF_DIR, relative
from safetensors.torch import load_file
from transformers import WhisperFeatureExtractor, WhisperModel

from sertl.errors import SertlError
from sertl.upstream.build import build_upstream, load_conf
from sertl.upstream.whisper import LogMel, build_whisper, cut, load_encoder

# ceil(floor(N / 160) / 2), with N at least 400: 100 / 2, ceil(150 / 2), ceil(2 / 2), ceil(100 / 2),
# ceil(4 / 2), ceil(7 / 2) and again 100 / 2 frames.
FRAMES = [50, 75, 1, 50, 2, 4, 50]


@pytest.fixture(scope="module")
def upstream(tiny):
    return build_whisper(tiny / "whisper")


def alone(upstream, wavs, lens, row):
    return upstream(wavs[row : row + 1, : lens[row]], lens[row : row + 1])


def test_batch_equals_clip_alone_and_padding_is_zero(upstream, clips):
    wavs, lens = clips
    hidden, frames = upstream(wavs, lens)
    assert frames.tolist() == FRAMES
    assert len(hidden) == upstream.num_layers == 4 and upstream.stride == 320
    for row, count in enumerate(FRAMES):
        single, single_frames = alone(upstream, wavs, lens, row)
        assert single_frames.tolist() == [count]
        for a, b in zip(hidden, single, strict=True):
            assert relative(a[row, :count], b[0]) < 1e-5
            assert (a[row, count:] == 0).all()


def test_batch_equals_clip_alone_when_padded_to_30s(tiny, clips):
    upstream = build_whisper(tiny / "whisper", pad_to_30s=True)
    wavs, lens = clips
    hidden, frames = upstream(wavs[:3], lens[:3])
    assert frames.tolist() == FRAMES[:3]
    for row in range(3):
        single, _ = alone(upstream, wavs, lens, row)
        assert relative(hidden[3][row, : FRAMES[row]], single[3][0]) < 1e-5


def test_padding_content_has_no_effect(upstream, clips):
    wavs, lens = clips
    other = wavs.clone()
    for row, length in enumerate(lens):
        other[row, length:] = float("nan")
    before, after = upstream(wavs, lens)[0], upstream(other, lens)[0]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("bins", [80, 128])
@pytest.mark.parametrize("samples", [400, 16000, 24123])
def test_log_mel_is_that_of_transformers(bins, samples):
    wav = np.random.default_rng(0).normal(size=samples).astype(np.float32) * 0.1
    extractor = WhisperFeatureExtractor(feature_size=bins)
    truth = extractor(wav, sampling_rate=16000, padding=False, return_tensors="pt").input_features
    mel = LogMel(bins)(torch.from_numpy(wav))
    assert mel.shape == (bins, samples // 160)
    torch.testing.assert_close(mel, truth[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("real", [False, True])
def test_30s_switch_reproduces_transformers(real, request, tiny):
    folder = request.getfixturevalue("whisper_dir") if real else tiny / "whisper"
    upstream = build_whisper(folder, pad_to_30s=True)
    wav = np.random.default_rng(0).normal(size=24123).astype(np.float32) * 0.1
    extractor = WhisperFeatureExtractor(feature_size=80)
    mel = extractor(wav, sampling_rate=16000, return_tensors="pt").input_features
    if real:  # this folder has no decoder
        theirs = upstream.encoder
    else:
        theirs = WhisperModel.from_pretrained(folder).encoder.eval()
    with torch.no_grad():
        truth = theirs(mel, output_hidden_states=True)
    hidden, frames = upstream(torch.from_numpy(wav)[None], torch.tensor([24123]))
    assert frames.tolist() == [75]  # ceil(150 / 2)
    for ours, whole in zip(hidden[:-1], truth.hidden_states, strict=False):
        torch.testing.assert_close(ours[0], whole[0, :75], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(hidden[-1][0], truth.last_hidden_state[0, :75], rtol=1e-4, atol=1e-4)


def test_own_frames_are_the_whole_window_without_padding(tiny):
    """On a clip of exactly 30 s there is nothing to pad, so both modes agree with the original."""
    wav = torch.randn(1, 480000, generator=torch.Generator().manual_seed(0)) * 0.1
    own, _ = build_whisper(tiny / "whisper")(wav, torch.tensor([480000]))
    padded, _ = build_whisper(tiny / "whisper", pad_to_30s=True)(wav, torch.tensor([480000]))
    assert own[3].shape[1] == 1500 and torch.equal(own[3], padded[3])


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (1, [400]),
        (480000, [480000]),
        (480001, [240320, 239681]),  # 2 windows: ceil(240000.5 / 320) * 320 and the rest
        (1000000, [333440, 333440, 333120]),  # 3: ceil(333333.3 / 320) * 320
    ],
)
def test_windows_of_long_clips(samples, expected):
    assert [len(w) for w in cut(torch.zeros(samples), 480000)] == expected


def test_long_clip_is_its_windows_joined(upstream):
    wavs = torch.randn(2, 480001, generator=torch.Generator().manual_seed(0)) * 0.1
    hidden, frames = upstream(wavs, torch.tensor([480001, 16000]))
    assert frames.tolist() == [1500, 50]  # ceil(3000 / 2), 100 / 2
    first, _ = upstream(wavs[:1, :240320], torch.tensor([240320]))
    second, _ = upstream(wavs[:1, 240320:], torch.tensor([239681]))
    for i in range(4):
        joined = torch.cat([first[i][0], second[i][0]])
        assert relative(hidden[i][0], joined) < 1e-5


def test_early_exit(upstream, clips):
    every, some = upstream(*clips)[0], upstream(*clips, layers=[1])[0]
    assert torch.equal(every[1], some[0])
    called = []
    hook = upstream.encoder.layers[1].register_forward_hook(lambda *_: called.append(1))
    upstream(*clips, layers=[1, 0])
    hook.remove()
    assert called == []


def test_bf16(tiny, upstream, clips):
    rough = build_whisper(tiny / "whisper", dtype="bf16")(*clips)[0]
    for a, b in zip(rough, upstream(*clips)[0], strict=True):
        assert a.dtype == torch.float32 and relative(a, b) < 0.02
    assert relative(rough[3], upstream(*clips)[0][3]) > 0


def prefixed(prefix):
    return lambda weights: {
        prefix + k.removeprefix("encoder."): v for k, v in weights.items() if "encoder." in k[:8]
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda weights: weights,
        lambda weights: {f"model.{k}": v for k, v in weights.items()},
        prefixed(""),
        prefixed("model.encoder."),
        lambda weights: {k: v.half() for k, v in weights.items()},
    ],
    ids=["with_decoder", "conditional_generation", "bare", "model.encoder", "half"],
)
@pytest.mark.parametrize("sharded", [False, True])
def test_layouts_of_the_weights(change, sharded, tiny, tmp_path, upstream, clips):
    weights = change(load_file(tiny / "whisper" / "model.safetensors"))
    shutil.copy(tiny / "whisper" / "config.json", tmp_path)
    if sharded:
        keys = sorted(weights)
        shards = {"a.bin": keys[::2], "b.bin": keys[1::2]}
        for name, part in shards.items():
            torch.save({k: weights[k] for k in part}, tmp_path / name)
        table = {k: name for name, part in shards.items() for k in part}
        (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": table}))
    else:
        torch.save(weights, tmp_path / "pytorch_model.bin")
    hidden = build_whisper(tmp_path)(*clips)[0]
    for a, b in zip(hidden, upstream(*clips)[0], strict=True):
        assert a.dtype == torch.float32 and relative(a, b) < 2e-3


def test_broken_folders(tiny, tmp_path):
    with pytest.raises(SertlError, match="no config.json"):
        load_encoder(tmp_path)
    config = json.loads((tiny / "whisper" / "config.json").read_text())
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(SertlError, match="not valid JSON"):
        load_encoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "hubert"}))
    with pytest.raises(SertlError, match="model_type is 'hubert'"):
        load_encoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "encoder_layers": 4}))
    with pytest.raises(SertlError, match="neither model.safetensors nor pytorch_model.bin"):
        load_encoder(tmp_path)
    shutil.copy(tiny / "whisper" / "model.safetensors", tmp_path)
    with pytest.raises(SertlError, match=r"do not fit its config.json(.|\n)*layers.3"):
        load_encoder(tmp_path)
    whole = (tiny / "whisper" / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SertlError, match="model.safetensors: not readable as weights"):
        load_encoder(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"no pickle at all")
    with pytest.raises(SertlError, match="pytorch_model.bin: not readable as weights"):
        load_encoder(tmp_path)
    torch.save({"other": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(SertlError, match="no Whisper encoder"):
        load_encoder(tmp_path)


def test_real_whisper_through_its_conf(whisper_dir, clips):
    upstream = build_upstream(load_conf("whisper_tiny_en", CONF_DIR, {"ckpt": str(whisper_dir)}))
    wavs, lens = clips
    hidden, frames = upstream(wavs, lens)
    assert frames.tolist() == FRAMES
    for row, count in enumerate(FRAMES):
        single, _ = alone(upstream, wavs, lens, row)
        assert (
            max(relative(a[row, :count], b[0]) for a, b in zip(hidden, single, strict=True)) < 1e-4
        )
