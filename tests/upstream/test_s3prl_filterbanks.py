# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The generic S3PRL path, on filter-banks, which need no weights."""

import random

import pytest
import torch
from awkward_clips import CONF_DIR, LENGTHS, relative

from sertl.errors import SertlError
from sertl.upstream.build import build_upstream, describe, load_conf
from sertl.upstream.s3prl import build_s3prl, submodule


@pytest.mark.parametrize(("name", "size"), [("fbank", 240), ("mfcc", 39)])
def test_equals_s3prl_on_the_clip_alone(name, size, clips):
    conf = load_conf(name, CONF_DIR)
    upstream = build_upstream(conf)
    assert (upstream.num_layers, upstream.hidden_size, upstream.stride) == (1, size, 160)
    plain = submodule("nn").S3PRLUpstream(name).eval()
    wavs, lens = clips
    hidden, frames = upstream(wavs, lens)
    assert frames.tolist() == [-(-length // 160) for length in LENGTHS]
    for row, length in enumerate(LENGTHS):
        with torch.no_grad():
            truth, _ = plain(wavs[row : row + 1, :length], lens[row : row + 1])
        assert relative(hidden[0][row, : frames[row]], truth[0][0]) < 1e-6
        assert (hidden[0][row, frames[row] :] == 0).all()
    assert describe(conf)["name"] == name


@pytest.mark.parametrize(("name", "size"), [("mel", 80), ("spectrogram", 257), ("linear", 201)])
def test_other_entries_by_name(name, size, clips):
    upstream = build_s3prl(name, None, {})
    wavs, lens = clips
    hidden, frames = upstream(wavs[:2], lens[:2])
    assert (upstream.hidden_size, upstream.stride) == (size, 160)
    assert frames.tolist() == [100, 151] and hidden[0].shape == (2, 151, size)


def test_a_family_with_arguments_takes_the_generic_path(tiny, clips):
    plain = build_s3prl("wav2vec2_local", tiny / "wav2vec2_base.pt", {})
    extra = {"feature_selection": "fairseq_layers"}
    upstream = build_s3prl("wav2vec2_local", tiny / "wav2vec2_base.pt", extra)
    assert type(upstream).__name__ == "S3prlUpstream"
    assert upstream.num_layers == 3  # outputs of the blocks only
    theirs, ours = upstream(*clips)[0][2][0, :49], plain(*clips)[0][3][0, :49]
    assert relative(theirs, ours) < 1e-5
    upstream.trainable([0])
    hidden = upstream(*clips, layers=[0])[0][0]
    hidden.square().sum().backward()
    trained = [p for p in upstream.parameters() if p.requires_grad]
    assert trained and all(p.grad is not None for p in trained)


def test_clip_that_s3prl_refuses_is_named(tiny):
    upstream = build_s3prl(
        "wav2vec2_local", tiny / "wav2vec2_base.pt", {"feature_selection": "fairseq_layers"}
    )
    with pytest.raises(SertlError, match="clip of 1000 samples"):
        upstream(torch.randn(1, 1000), torch.tensor([1000]))


def test_building_leaves_random_generators_alone(tiny):
    torch.manual_seed(5)
    random.seed(5)
    before = torch.get_rng_state(), random.getstate()
    build_s3prl("fbank", None, {})
    build_s3prl("hubert_local", tiny / "hubert_base.pt", {})
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == random.getstate()


def test_building_is_silent(tiny, capfd):
    for name, ckpt in (("hubert_local", "hubert_base.pt"), ("hf_hubert_custom", "hf_hubert_base")):
        build_s3prl(name, tiny / ckpt, {})
    out, err = capfd.readouterr()
    assert out == "" and err == ""


@pytest.mark.parametrize(
    ("layers", "lens", "message"),
    [
        ([1], [100], r"layer 1 asked for, there are 0..0"),
        ([-1], [100], r"layer -1"),
        (None, [101], r"wav_lens\[0\] is 101, expected 1..100"),
        (None, [0], r"wav_lens\[0\] is 0"),
    ],
)
def test_wrong_calls(layers, lens, message):
    upstream = build_s3prl("fbank", None, {})
    with pytest.raises(ValueError, match=message):
        upstream(torch.randn(1, 100), torch.tensor(lens), layers)
