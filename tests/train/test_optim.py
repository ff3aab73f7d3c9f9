# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Schedules by hand, parameter groups, refusals."""

import pytest
import torch

from sertl.errors import SertlError
from sertl.peft.inject import inject
from sertl.train.optim import build_optimizer, lr_factor, set_lr
from sertl.upstream.s3prl import build_s3prl

CONF = {
    "optimizer": "adamw",
    "lr": 0.1,
    "lr_scale": {},
    "block_decay": 1.0,
    "weight_decay": 0.01,
    "betas": [0.9, 0.999],
    "schedule": "linear",
    "warmup": 0.2,
    "hold": 0.0,
}


def test_linear_by_hand():
    # 10 updates, 2 of warm-up: 1/3, 2/3, then 1 - (u - 2) / 8
    factors = [lr_factor(u, 10, "linear", 0.2, 0.0) for u in range(10)]
    assert factors[:4] == pytest.approx([1 / 3, 2 / 3, 1.0, 7 / 8])
    assert factors[9] == pytest.approx(1 / 8)


def test_hold_then_cosine():
    factors = [lr_factor(u, 10, "cosine", 0.0, 0.5) for u in range(10)]
    assert factors[:6] == [1.0] * 6
    assert factors[5:] == sorted(factors[5:], reverse=True)
    assert lr_factor(10, 10, "cosine", 0.0, 0.5) == pytest.approx(0.0)


def test_constant_stays():
    assert {lr_factor(u, 9, "constant", 0.0, 0.0) for u in range(9)} == {1.0}


def model():
    net = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 2), "b": torch.nn.Linear(2, 2)})
    net["b"].bias.requires_grad_(False)
    return net


def test_groups_scale_and_decay():
    optimizer = build_optimizer(model(), {**CONF, "lr_scale": {"b": 0.5}})
    found = {(g["lr_scale"], g["weight_decay"], len(g["params"])) for g in optimizer.param_groups}
    # a.weight; a.bias without decay; b.weight at half the rate; b.bias is frozen
    assert found == {(1.0, 0.01, 1), (1.0, 0.0, 1), (0.5, 0.01, 1)}
    assert set_lr(optimizer, CONF, 2, 10) == pytest.approx(0.1)
    assert sorted({g["lr"] for g in optimizer.param_groups}) == pytest.approx([0.05, 0.1])


def test_a_dotted_prefix_may_come_as_nested_mappings():
    """As --set optim_conf.lr_scale.a.weight=0 gives it; with factor 0 a tensor stays."""
    net = model()
    optimizer = build_optimizer(net, {**CONF, "lr_scale": {"a": {"weight": 0}}})
    before = {n: p.clone() for n, p in net.named_parameters()}
    set_lr(optimizer, CONF, 2, 10)
    sum(p.sum() for p in net.parameters()).backward()
    optimizer.step()
    moved = {n for n, p in net.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {"a.bias", "b.weight"}
    with pytest.raises(SertlError, match="lr_scale.a.weight is 'low', expected a number"):
        build_optimizer(model(), {**CONF, "lr_scale": {"a": {"weight": "low"}}})


def test_refusals():
    with pytest.raises(SertlError, match="no module or parameter is called"):
        build_optimizer(model(), {**CONF, "lr_scale": {"c": 0.5}})
    with pytest.raises(SertlError, match="no trainable parameter"):
        build_optimizer(model().requires_grad_(False), CONF)


def scales(optimizer, model):
    """Name -> factor on the rate."""
    names = {id(p): n for n, p in model.named_parameters()}
    return {names[id(p)]: g["lr_scale"] for g in optimizer.param_groups for p in g["params"]}


def test_encoder_by_block_parts_and_heads(tiny):
    """Three blocks: 1, 1/2, 1/4 of the encoder's rate from the top; below them 1/8."""
    upstream = build_s3prl("hubert_local", tiny / "hubert_large.pt", {})
    upstream.trainable()
    net = torch.nn.ModuleDict({"upstream": upstream, "head": torch.nn.Linear(2, 2)})
    net.upstream = upstream
    conf = {**CONF, "lr_scale": {"encoder": 0.1, "parts": 3.0}, "block_decay": 0.5}
    found = scales(build_optimizer(net, conf), net)
    for depth, block in enumerate(reversed(range(3))):
        name = f"upstream.model.encoder.layers.{block}.fc1.weight"
        assert found[name] == pytest.approx(0.1 * 0.5**depth)
    assert found["upstream.model.encoder.layer_norm.weight"] == pytest.approx(0.1)  # the final one
    assert found["upstream.model.post_extract_proj.weight"] == pytest.approx(0.1 * 0.5**3)
    assert found["head.weight"] == 1.0
    upstream.freeze()
    inject(upstream, {"lora": {"alpha": 4, "rank": 4}})
    found = scales(build_optimizer(net, {**conf, "block_decay": 1.0}), net)
    assert {v for n, v in found.items() if n.startswith("upstream.")} == {3.0}
    upstream.freeze()
    with pytest.raises(SertlError, match="nothing of an encoder trains"):
        build_optimizer(net, conf)


def test_a_variant_takes_a_scale_back():
    assert {
        g["lr_scale"]
        for g in build_optimizer(model(), CONF | {"lr_scale": {"c": None}}).param_groups
    } == {1.0}
