# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Frozen means frozen; trainable() marks exactly the parameters that get a gradient."""

import shutil

import pytest
import torch
from awkward_clips import CONF_DIR, NAMES, build
from torch import nn

from sertl.errors import SertlError
from sertl.upstream.build import build_upstream, load_conf
from sertl.upstream.s3prl import S3prlUpstream, build_s3prl


@pytest.fixture(params=NAMES)
def upstream(request, tiny):
    return build(tiny, request.param)


def test_frozen_stays_in_evaluation_mode(upstream, clips):
    parent = nn.ModuleDict({"upstream": upstream})
    parent.train()
    assert parent.training and upstream.frozen
    assert not any(module.training for module in upstream.modules())
    first, second = upstream(*clips)[0], upstream(*clips)[0]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(h.requires_grad for h in first)
    assert not any(p.requires_grad for p in upstream.parameters())


@pytest.mark.parametrize("layers", [None, [1]])
def test_gradient_reaches_exactly_the_trainable_parameters(upstream, clips, layers):
    upstream.trainable(layers)
    assert upstream.training and not upstream.frozen
    hidden, _ = upstream(*clips, layers=layers)
    sum((h * torch.randn_like(h)).sum() for h in hidden).backward()
    for name, parameter in upstream.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        else:
            assert parameter.grad is None, name
    trained = {name for name, p in upstream.named_parameters() if p.requires_grad}
    left_out = ("mask_emb", "spec_embed", "label_embs", "final_proj", "quantizer", "project_q")
    left_out += (
        "feature_extractor",
        "patches",
        "encoder.conv1",
        "encoder.conv2",
        "embed_positions",
    )
    assert not [n for n in trained if any(word in n for word in left_out)]
    # all four projections, both norms and both linear layers of a block, each weight and bias
    in_blocks = [n for n in trained if "pos_conv" not in n]
    per_block = [n for n in in_blocks if ".layers.0." in n]
    assert len(per_block) >= 15
    assert any(".layers.2." in n for n in in_blocks) == (layers is None)


def test_training_mode_is_exact_in_batches_and_adds_no_noise(upstream, clips):
    """Dropout is 0 unless the conf says otherwise; layer drop and SpecAugment are off."""
    frozen = upstream(*clips)[0]
    upstream.trainable()
    for a, b in zip(frozen, upstream(*clips)[0], strict=True):
        torch.testing.assert_close(a, b.detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("file", ["hubert_base.pt", "wavlm_base.pt", "hf_hubert_base", "whisper"])
def test_dropout_of_the_conf_acts_in_training_only(tiny, clips, file):
    upstream = build(tiny, file, dropout=0.3)
    torch.manual_seed(0)
    plain = upstream(*clips, layers=[3])[0][0]
    assert torch.equal(plain, upstream(*clips, layers=[3])[0][0])
    state = torch.get_rng_state()
    upstream.trainable()
    assert torch.equal(state, torch.get_rng_state())  # opting in draws no random number
    assert not torch.allclose(plain, upstream(*clips, layers=[3])[0][0])
    upstream.eval()
    again = upstream(*clips, layers=[3])[0][0].detach()
    torch.testing.assert_close(plain, again, rtol=1e-5, atol=1e-5)


def test_gradient_can_pass_through_frozen_blocks(tiny, clips):
    """What an adapter inside a block needs: frozen = False, weights still without gradient."""
    upstream = build(tiny, "hubert_base.pt")
    upstream.frozen = False
    bias = upstream.model.encoder.layers[0].fc1.bias
    bias.requires_grad_(True)
    upstream(*clips, layers=[3])[0][0].square().sum().backward()
    assert bias.grad.abs().sum() > 0


def test_freeze_takes_it_back(tiny, clips):
    upstream = build(tiny, "hubert_base.pt")
    upstream.trainable()
    upstream.freeze()
    upstream.train()
    assert not upstream.training
    assert not upstream(*clips)[0][3].requires_grad


def test_filter_banks_have_nothing_to_train():
    upstream = build_upstream(load_conf("fbank", CONF_DIR))
    with pytest.raises(SertlError, match="nothing to fine-tune"):
        upstream.trainable()
    assert upstream.frozen


def test_the_generic_path_drops_no_layer_and_masks_nothing(tiny, tmp_path):
    """A folder of a kind that hf.py does not compute runs through S3PRL's own forward pass."""
    from transformers import HubertConfig, HubertModel

    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    model = HubertModel(
        HubertConfig(
            **sizes,
            intermediate_size=64,
            conv_pos_batch_norm=True,
            layerdrop=0.9,
            mask_time_prob=0.5,
            mask_time_min_masks=1,
        )
    )
    model.save_pretrained(tmp_path)
    shutil.copy(tiny / "hf_hubert_base/preprocessor_config.json", tmp_path)
    upstream = build_s3prl("hf_hubert_custom", tmp_path, {})
    assert type(upstream) is S3prlUpstream
    wav, lens = torch.randn(1, 16000), torch.tensor([16000])
    upstream.trainable()
    upstream.model.upstream.model.encoder.pos_conv_embed.eval()  # its batch norm
    states = [upstream(wav, lens)[0] for _ in range(5)]
    for other in states[1:]:
        assert all(torch.equal(a, b) for a, b in zip(states[0], other, strict=True))
    assert states[0][-1].requires_grad
