# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The table of trainable parameters for HuBERT base and large, from the real injection code.

The models are S3PRL's and transformers' own classes on the meta device, which holds no numbers.
"""

import pytest
import torch
from fakes import build_model
from injected import Model
from transformers import HubertConfig, HubertModel

from sertl.models.base import Spec
from sertl.peft.inject import inject
from sertl.peft.tuning import open_biases, open_last, trained_by_group
from sertl.upstream.hf_models import HFUpstream
from sertl.upstream.native import NativeUpstream
from sertl.upstream.s3prl import submodule

SIZES = {"base": (768, 12, 12), "large": (1024, 24, 16)}  # D, blocks, heads


def native(kind):
    size, blocks, heads = SIZES[kind]
    m = submodule("upstream.hubert.hubert_model")
    config = m.HubertConfig(
        label_rate=50.0,
        encoder_layers=blocks,
        encoder_embed_dim=size,
        encoder_ffn_embed_dim=4 * size,
        encoder_attention_heads=heads,
        layer_norm_first=kind == "large",
        extractor_mode="default" if kind == "base" else "layer_norm",
        final_dim=256,
    )
    with torch.device("meta"):
        model = m.HubertModel(config, m.HubertPretrainingConfig(), [["a", "b"]])
    return NativeUpstream(model, False, "float32", 0.0)


def hf(kind):
    size, blocks, heads = SIZES[kind]
    config = HubertConfig(
        hidden_size=size,
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        intermediate_size=4 * size,
        do_stable_layer_norm=kind == "large",
        feat_extract_norm="group" if kind == "base" else "layer",
        conv_bias=kind == "large",
    )
    with torch.device("meta"):
        model = HubertModel(config)
    return HFUpstream(model, False, "float32", 0.0)


@pytest.fixture(params=[native, hf])
def make(request):
    return request.param


def lora(targets, rank=8):
    return {"lora": {"rank": rank, "alpha": rank, "targets": list(targets)}}


def ffn_adapter(width):
    return {"adapter": {"width": width, "place": "ffn"}}


# part: its options, base, large
TABLE = {
    "BA 64": ({"adapter": {"width": 64}}, 1_189_632, 3_171_840),
    "BA 128": ({"adapter": {"width": 128}}, 2_370_048, 6_319_104),
    "BA 256": ({"adapter": {"width": 256}}, 4_730_880, 12_613_632),
    "BA 512 after the FFN": (ffn_adapter(512), None, 25_202_688),
    "LoRA qkv": (lora(["q", "k", "v"]), 442_368, 1_179_648),
    "LoRA qkvo": (lora(["q", "k", "v", "out"]), 589_824, 1_572_864),
    "LoRA 64 qkv": (lora(["q", "k", "v"], rank=64), None, 9_437_184),
    "WG": ({"gate": {}}, 9_216, 24_576),
    "IA3": ({"ia3": {}}, 55_296, 147_456),
    "prefix 5": ({"prefix": {"length": 5, "zero": False}}, 92_160, 245_760),
    "prefix 5, gated": ({"prefix": {"length": 5}}, 92_160 + 12 * 12, 245_760 + 24 * 16),
    "DoRA qkv": (  # and a length per row
        {"lora": {**lora(["q", "k", "v"])["lora"], "dora": True}},
        442_368 + 12 * 3 * 768,
        1_179_648 + 24 * 3 * 1024,
    ),
}


@pytest.mark.parametrize("row", TABLE)
def test_single_parts(make, row):
    wanted, *expected = TABLE[row]
    for kind, number in zip(SIZES, expected, strict=True):
        if number is not None:
            upstream = make(kind)
            inject(upstream, wanted)
            assert trained_by_group(Model(upstream)) == {next(iter(wanted)): number}


@pytest.mark.parametrize(("kind", "expected"), [("base", 101_376), ("large", 270_336)])
def test_bitfit(make, kind, expected):
    size, blocks, _ = SIZES[kind]
    upstream = make(kind)
    open_biases(upstream, blocks)
    assert trained_by_group(Model(upstream)) == {"bias": expected} == {"bias": 11 * size * blocks}


def test_last_two_blocks(make):
    # of base: 4 (D^2 + D) + 2 * 4 D^2 + 5 D + 2 * 2 D = 7,087,872 each
    upstream = make("base")
    open_last(upstream, 2, 12)
    assert trained_by_group(Model(upstream)) == {"encoder": 2 * 7_087_872}


@pytest.mark.parametrize(
    ("kind", "width", "targets", "expected"),
    [
        ("base", 64, "qkv", 1_839_121),
        ("base", 64, "qkvo", 1_986_577),
        ("large", 64, "qkv", 4_639_517),
        ("large", 64, "qkvo", 5_032_733),
        ("large", 128, "qkv", 7_786_781),
        ("large", 128, "qkvo", 8_179_997),
    ],
)
def test_all_four_parts_with_the_head(make, kind, width, targets, expected):
    upstream = make(kind)
    names = [{"o": "out"}.get(t, t) for t in targets]
    inject(upstream, {"adapter": {"width": width}, **lora(names), "gate": {}})
    size, blocks, _ = SIZES[kind]
    spec = Spec(["ang", "hap", "neu", "sad"], size, list(range(blocks + 1)))
    model = build_model("probe", spec, upstream, {"activation": "none"})
    counts = trained_by_group(model)
    assert sum(counts.values()) == expected
    assert counts["head"] == {"base": 197_892 + 13, "large": 263_428 + 25}[kind]
    total = sum(p.numel() for p in upstream.parameters() if not p.requires_grad)
    assert 0.01 < expected / total < 0.03
