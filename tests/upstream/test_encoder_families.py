# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Every family against S3PRLUpstream on the clip alone: values, frames, early exit, padding."""

import shutil

import pytest
import torch
from awkward_clips import LENGTHS, relative

from sertl.errors import SertlError
from sertl.upstream.hf_models import HFUpstream
from sertl.upstream.native import NativeUpstream, WavLMUpstream
from sertl.upstream.s3prl import build_s3prl, submodule
from sertl.upstream.side_effects import quiet, same_randomness

FAMILIES = {
    "hubert_base.pt": ("hubert_local", NativeUpstream),
    "hubert_large.pt": ("hubert_local", NativeUpstream),
    "wav2vec2_base.pt": ("wav2vec2_local", NativeUpstream),
    "wav2vec2_large.pt": ("wav2vec2_local", NativeUpstream),
    "data2vec_large.pt": ("data2vec_local", NativeUpstream),
    "wavlm_base.pt": ("wavlm_local", WavLMUpstream),
    "wavlm_large.pt": ("wavlm_local", WavLMUpstream),
    "hf_hubert_base": ("hf_hubert_custom", HFUpstream),
    "hf_hubert_large": ("hf_hubert_custom", HFUpstream),
    "hf_wav2vec2_base": ("hf_wav2vec2_custom", HFUpstream),
    "hf_wav2vec2_large": ("hf_wav2vec2_custom", HFUpstream),
}
# ceil(N / 320): 16000/320 = 50, 24123/320 = 75.4, 16001/320 = 50.003, 700/320 = 2.2, 1121/320 = 3.5
FRAMES = [50, 76, 1, 51, 3, 4, 50]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tiny):
    name, expected = FAMILIES[request.param]
    upstream = build_s3prl(name, tiny / request.param, {})
    assert type(upstream) is expected
    return name, str(tiny / request.param), upstream


def after_final_norm(upstream, last):
    """S3PRL's last state of a pre-norm folder lacks the norm that its native format has."""
    stable = isinstance(upstream, HFUpstream) and upstream.model.config.do_stable_layer_norm
    return upstream.model.encoder.layer_norm(last) if stable else last


def test_equals_s3prl_on_the_clip_alone(family, clips):
    name, ckpt, upstream = family
    with quiet(), same_randomness():
        plain = submodule("nn").S3PRLUpstream(name, ckpt).eval()
    wavs, lens = clips
    batch, frames = upstream(wavs, lens)
    assert frames.tolist() == FRAMES
    assert upstream.num_layers == len(plain.hidden_sizes) == len(batch) == 4
    assert upstream.hidden_size == plain.hidden_sizes[0]
    assert upstream.stride == plain.downsample_rates[0]
    for row, length in enumerate(LENGTHS):
        clip, clip_len = wavs[row : row + 1, :length], lens[row : row + 1]
        with torch.no_grad():
            truth, truth_len = plain(clip, clip_len)
            truth[-1] = after_final_norm(upstream, truth[-1])
        alone, alone_len = upstream(clip, clip_len)
        assert truth_len[0] == alone_len[0] == frames[row]
        for layer in range(4):
            assert alone[layer].shape == truth[layer].shape
            assert relative(alone[layer], truth[layer]) < 1e-5
            assert relative(batch[layer][row, : frames[row]], truth[layer][0]) < 1e-5
            assert (batch[layer][row, frames[row] :] == 0).all()


def test_padding_content_has_no_effect(family, clips):
    upstream = family[2]
    wavs, lens = clips
    other = wavs.clone()
    for row, length in enumerate(LENGTHS):
        other[row, length:] = float("nan")
    before, after = upstream(wavs, lens)[0], upstream(other, lens)[0]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_layers_above_the_highest_are_not_computed(family, clips):
    upstream = family[2]
    every = upstream(*clips)[0]
    called = []
    blocks = upstream.model.encoder.layers
    hooks = [
        block.register_forward_hook(lambda *_, i=i: called.append(i))
        for i, block in enumerate(blocks)
    ]
    some = upstream(*clips, layers=[2, 0])[0]
    for hook in hooks:
        hook.remove()
    assert called == [0, 1]
    assert torch.equal(some[0], every[2]) and torch.equal(some[1], every[0])


def test_a_changed_block_weight_changes_the_output(family, clips):
    """Nothing may bypass the weights that later get a low-rank update."""
    upstream = family[2]
    block = upstream.model.encoder.layers[0]
    attention = getattr(block, "self_attn", None) or block.attention
    before = upstream(*clips, layers=[1])[0][0]
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        weight = getattr(attention, name).weight
        with torch.no_grad():
            old = weight.clone()
            weight.mul_(1.5)
            assert relative(upstream(*clips, layers=[1])[0][0], before) > 1e-4, name
            weight.copy_(old)
    assert torch.equal(upstream(*clips, layers=[1])[0][0], before)


def test_hooks_of_s3prl_keep_nothing_alive(family):
    model = family[2].model
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("name", ["hf_hubert_base", "hf_hubert_large", "hf_wav2vec2_large"])
def test_last_state_is_that_of_transformers(tiny, name):
    """Final norm included, which the last of its hidden_states lacks."""
    upstream = build_s3prl(FAMILIES[name][0], tiny / name, {})
    with torch.no_grad():
        upstream.model.encoder.layer_norm.weight.uniform_(0.5, 2.0)
        upstream.model.encoder.layer_norm.bias.uniform_(-1.0, 1.0)
        wav = torch.randn(1, 16000)
        truth = upstream.model.eval()(upstream.normalise(wav[0])[None]).last_hidden_state
    assert relative(upstream(wav, torch.tensor([16000]))[0][-1][:, : truth.shape[1]], truth) < 1e-5


def test_a_folder_of_another_kind_is_refused(tiny, tmp_path):
    """WavLM's has every tensor of HuBERT's, and more, which transformers would leave out."""
    from transformers import WavLMConfig, WavLMModel

    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    WavLMModel(WavLMConfig(**sizes, intermediate_size=64)).save_pretrained(tmp_path)
    shutil.copy(tiny / "hf_hubert_base/preprocessor_config.json", tmp_path)
    for family in ("hf_hubert_custom", "hf_wav2vec2_custom"):
        with pytest.raises(SertlError, match="config.json: model_type is 'wavlm'"):
            build_s3prl(family, tmp_path, {})
    (tmp_path / "config.json").unlink()
    with pytest.raises(SertlError, match="config.json: no such file"):
        build_s3prl("hf_hubert_custom", tmp_path, {})


def test_bf16_is_close_and_float32(family, clips):
    name, ckpt, upstream = family
    rough = build_s3prl(name, ckpt, {}, dtype="bf16")(*clips)[0]
    for a, b in zip(rough, upstream(*clips)[0], strict=True):
        assert a.dtype == torch.float32
        assert 0 < relative(a, b) < 0.02


def test_clip_that_s3prl_refuses_gets_copies_of_its_last_frame(tiny):
    """1000 samples: 2 frames from the convolutions, 4 by the rule; S3PRLUpstream asserts."""
    upstream = build_s3prl("hubert_local", tiny / "hubert_base.pt", {})
    hidden, frames = upstream(torch.randn(1, 1000), torch.tensor([1000]))
    assert frames.tolist() == [4]
    assert torch.equal(hidden[3][0, 1], hidden[3][0, 3])
    assert not torch.equal(hidden[3][0, 0], hidden[3][0, 1])
