# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""emotion2vec against the published computation, written out here; damaged and foreign files."""

import math

import pytest
import torch
import torch.nn.functional as F
from awkward_clips import CONF_DIR, LENGTHS, relative

from sertl.errors import SertlError
from sertl.peft.inject import inject
from sertl.upstream.build import build_upstream, load_conf
from sertl.upstream.data2vec2 import alibi_slopes
from sertl.upstream.emotion2vec import load_emotion2vec
from sertl.upstream.tiny import HEADS, SIZE, save_emotion2vec

AUDIO = "modality_encoders.AUDIO."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("emotion2vec")
    save_emotion2vec(path)
    return path


@pytest.fixture
def upstream(folder):
    return build_upstream(conf_of(folder))


def conf_of(ckpt):
    shape = {"num_layers": 4, "hidden_size": SIZE, "backend": "emotion2vec"}
    return {**load_conf("tiny_hubert", CONF_DIR), **shape, "ckpt": str(ckpt)}


def layer_norm(t, place, x, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], t[f"{place}.weight"], t[f"{place}.bias"], eps)


def linear(t, place, x):
    return x @ t[f"{place}.weight"].T + t[f"{place}.bias"]


def published(t, wav):
    """Hidden states of one clip, step by step."""
    x = F.layer_norm(wav, wav.shape)[None, None]
    for n, stride in enumerate((5, 2, 2, 2, 2, 2, 2)):
        place = f"{AUDIO}local_encoder.conv_layers.{n}"
        x = F.conv1d(x, t[f"{place}.0.weight"], stride=stride).transpose(1, 2)
        x = F.gelu(layer_norm(t, f"{place}.2.1", x)).transpose(1, 2)
    x = linear(t, f"{AUDIO}project_features.2",
               layer_norm(t, f"{AUDIO}project_features.1", x.transpose(1, 2)))[0]  # fmt: skip
    y = x.T[None]
    for n in range(1, 6):
        place = f"{AUDIO}relative_positional_encoder.{n}.0"
        weight = t[f"{place}.weight"]
        groups = SIZE // weight.shape[1]
        y = F.conv1d(y, weight, t[f"{place}.bias"], padding=weight.shape[2] // 2, groups=groups)
        y = F.gelu(F.layer_norm(y.transpose(1, 2), (SIZE,))).transpose(1, 2)
    tokens = t[f"{AUDIO}extra_tokens"][0]
    count = len(tokens)
    x = layer_norm(t, f"{AUDIO}context_encoder.norm", torch.cat([tokens, x + y[0].T]))
    scores = torch.zeros(HEADS, len(x), len(x))
    for h in range(HEADS):
        slope = 2.0 ** (-8.0 * (h + 1) / HEADS) * max(0, t[f"{AUDIO}alibi_scale"].flatten()[h])
        for i in range(count, len(x)):
            for j in range(count, len(x)):
                scores[h, i, j] = -abs(i - j) * slope
    states = [x[count:]]
    for place in (f"{AUDIO}context_encoder.blocks.0", "blocks.0", "blocks.1"):
        qkv = linear(t, f"{place}.attn.qkv", x).view(len(x), 3, HEADS, SIZE // HEADS)
        query, key, value = qkv.permute(1, 2, 0, 3)
        weights = (query @ key.transpose(1, 2) / math.sqrt(SIZE // HEADS) + scores).softmax(dim=2)
        mixed = (weights @ value).transpose(0, 1).reshape(len(x), SIZE)
        x = layer_norm(t, f"{place}.norm1", x + linear(t, f"{place}.attn.proj", mixed))
        inner = F.gelu(linear(t, f"{place}.mlp.fc1", x))
        x = layer_norm(t, f"{place}.norm2", x + linear(t, f"{place}.mlp.fc2", inner))
        states.append(x[count:])
    return states


def test_equals_the_published_computation_alone_and_in_a_batch(folder, upstream, clips):
    tensors = {k.removeprefix("d2v_model."): t
               for k, t in torch.load(folder / "model.pt")["model"].items()}  # fmt: skip
    wavs, lens = clips
    batch, frames = upstream(wavs, lens)
    assert frames.tolist() == [-(-n // 320) for n in LENGTHS]
    for row in (0, 1, 5):
        length = LENGTHS[row]
        truth = published(tensors, wavs[row, :length])
        alone, _ = upstream(wavs[row : row + 1, :length], lens[row : row + 1])
        for layer in range(4):
            count = len(truth[layer])
            assert count >= frames[row] - 2
            assert relative(batch[layer][row, :count], truth[layer]) < 1e-5
            assert relative(batch[layer][row, : frames[row]], alone[layer][0]) < 1e-5
            assert (batch[layer][row, frames[row] :] == 0).all()


def test_what_is_behind_a_clip_has_no_effect(upstream, clips):
    wavs, lens = clips
    other = wavs.clone()
    for row, length in enumerate(LENGTHS):
        other[row, length:] = float("nan")
    before, after = upstream(wavs, lens)[0], upstream(other, lens)[0]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_parts_act_and_learn_and_it_can_be_tuned(upstream, clips):
    wavs, lens = clips
    before = upstream(wavs, lens, [3])[0][0]
    inject(upstream, {"adapter": {"width": 4}, "prefix": {"length": 2},
                           "lora": {"rank": 2, "alpha": 2, "targets": ["q", "v"]}})  # fmt: skip
    assert relative(upstream(wavs, lens, [3])[0][0], before) < 1e-5
    upstream.freeze()
    upstream.trainable()
    upstream(wavs, lens, [3])[0][0].square().sum().backward()
    trained = [n for n, p in upstream.named_parameters() if p.grad is not None]
    assert "model.extra_tokens" in trained and "model.alibi_scale" in trained
    assert not [n for n in trained if "feature_extractor" in n]


def test_slopes():
    assert alibi_slopes(4) == [0.25, 0.0625, 0.015625, 0.00390625]
    assert alibi_slopes(12)[8:] == [alibi_slopes(16)[n] for n in (0, 2, 4, 6)]


def test_a_file_alone_and_other_outer_names(folder, tmp_path):
    found = torch.load(folder / "model.pt")["model"]
    plain = {k.removeprefix("d2v_model."): t for k, t in found.items()}
    torch.save(plain, tmp_path / "emotion2vec_base.pt")
    whole, alone = load_emotion2vec(folder), load_emotion2vec(tmp_path / "emotion2vec_base.pt")
    for (name, one), other in zip(whole.state_dict().items(), alone.state_dict().values(),
                                  strict=True):  # fmt: skip
        assert torch.equal(one, other), name
    assert load_emotion2vec(tmp_path) is not None


def test_what_it_does_not_read(folder, tmp_path):
    found = torch.load(folder / "model.pt")["model"]
    torch.save({"model": {"a": torch.zeros(1)}}, tmp_path / "other.pt")
    del found["d2v_model.blocks.1.attn.proj.bias"]
    torch.save(found, tmp_path / "model.pt")
    (tmp_path / "noise.pt").write_bytes(b"noise")
    for name, words in (
        ("other.pt", "it is no emotion2vec"),
        ("model.pt", "no tensor blocks.1.attn.proj.bias"),
        ("noise.pt", "not readable as weights alone"),
    ):
        with pytest.raises(SertlError, match=words):
            load_emotion2vec(tmp_path / name)
    conf = "model_conf:\n  layer_norm_first: true\n"
    (tmp_path / "config.yaml").write_text(conf)
    with pytest.raises(SertlError, match="layer_norm_first is True; only False"):
        load_emotion2vec(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SertlError, match=r"none of model\.pt"):
        load_emotion2vec(tmp_path / "empty")


def test_a_checkpoint_with_code_in_it_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("run",)

    torch.save({"model": Evil()}, tmp_path / "model.pt")
    with pytest.raises(SertlError, match="not readable as weights alone"):
        load_emotion2vec(tmp_path)
