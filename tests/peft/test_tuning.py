# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""upstream_conf: what each setting trains, gradient checkpointing, fingerprints and checkpoints."""

import copy

import pytest
import torch
from awkward_clips import CONF_DIR, relative
from injected import FAMILIES, LORA, PARTS, Model, fresh, own, parts, set_off, states

from sertl.config import load_method, parse_overrides
from sertl.errors import SertlError
from sertl.peft.inject import fold_lora, inject
from sertl.peft.tuning import is_frozen, trained_by_group, trained_line, tune
from sertl.stages.inputs import choose_layers
from sertl.train.checkpoint import init_from, load_trained, save, trained_state
from sertl.upstream.build import build_upstream, checkpoint_hash, describe, load_conf

D = 32


def conf(**changes):
    defaults = {
        "tune": "none",
        "last_blocks": 2,
        "peft": {},
        "from_layer": None,
        "grad_checkpoint": False,
    }
    return {**defaults, **changes}


def trained(upstream):
    return {n for n, p in upstream.named_parameters() if p.requires_grad}


def test_nothing_to_train_leaves_the_upstream_frozen(tiny):
    upstream = fresh(tiny, "hubert_base.pt")
    tune(upstream, conf(peft={"lora": None}), [3])
    assert upstream.frozen and not trained(upstream)
    assert is_frozen(conf()) and not is_frozen(conf(tune="bitfit"))
    assert not is_frozen(conf(peft={"ia3": {}}))


@pytest.mark.parametrize("file", FAMILIES)
def test_bitfit_trains_11_d_per_block_below_the_highest_state(tiny, file):
    upstream = fresh(tiny, file)
    tune(upstream, conf(tune="bitfit"), [0, 2])
    # q, k, v, out, second layer of the feed-forward part, two norms: 7 D; its first layer: 2 D
    # here, 4 D in the real models. Whisper's keys have no bias.
    per_block = (9 - (file == "whisper")) * D
    assert trained_by_group(Model(upstream)) == {"bias": 2 * per_block}
    assert all(n.endswith("bias") and "layers." in n for n in trained(upstream))
    assert upstream.train().blocks()[0].module.training
    assert not upstream.training and not upstream.blocks()[2].module.training


@pytest.mark.parametrize("file", ["hubert_large.pt", "wavlm_base.pt", "hf_hubert_base", "whisper"])
def test_last_blocks(tiny, file):
    upstream = fresh(tiny, file)
    tune(upstream, conf(tune="last"), [3])
    blocks = [block.module for block in upstream.blocks()]
    assert not any(p.requires_grad for p in blocks[0].parameters())
    assert all(p.requires_grad for block in blocks[1:] for p in block.parameters())
    assert len(trained(upstream)) == sum(len(list(b.parameters())) for b in blocks[1:])
    assert not blocks[0].training and blocks[1].training
    for number in (0, 4):
        with pytest.raises(SertlError, match=rf"last_blocks is {number}, expected 1\.\.3"):
            tune(fresh(tiny, file), conf(tune="last", last_blocks=number), [3])


@pytest.mark.parametrize("file", FAMILIES)
def test_parts_beside_the_encoders_own_tensors(tiny, file):
    upstream, alone = fresh(tiny, file), fresh(tiny, file)
    tune(upstream, conf(tune="all", peft=PARTS["everything"]), [3])
    tune(alone, conf(tune="all"), [3])
    assert trained(upstream) == trained(alone) | parts(upstream).keys()
    assert upstream.training
    upstream = fresh(tiny, file)
    tune(upstream, conf(tune="bitfit", peft=PARTS["lora"]), [3])
    assert trained_by_group(Model(upstream)).keys() == {"bias", "lora"}


def test_the_log_names_counts_and_the_scale(tiny):
    upstream = fresh(tiny, "hubert_base.pt")
    tune(upstream, conf(peft={"lora": {"alpha": 4, "rank": 8}, "gate": {}}), [3])
    model = Model(upstream)
    model.head = torch.nn.Linear(10, 100)
    # LoRA: 3 blocks * 3 matrices * 8 * (32 + 32)
    assert trained_line(model) == "gate 96, head 1,100, lora 4,608; LoRA scale (alpha / rank) 0.5"


METHODS = ["peft", *(f"peft/{p.stem}" for p in sorted(CONF_DIR.parent.glob("method/peft/*.yaml")))]


@pytest.mark.parametrize("method", METHODS)
def test_every_conf_of_the_method_can_be_applied(tiny, method):
    (phase,) = load_method(CONF_DIR.parent, method)["phases"]
    upstream = fresh(tiny, "wavlm_base.pt")
    layers = choose_layers(phase["data_conf"]["layers"], 4, [0, 1, 2, 3])
    tune(upstream, phase["upstream_conf"], layers)
    nothing = method in ("peft/weighted_sum", "peft/head")
    assert upstream.frozen == nothing == (not trained(upstream))


def test_settings_change_one_option_or_leave_a_part_out():
    settings = ["upstream_conf.peft.lora.rank=4", "upstream_conf.peft.gate=null"]
    (phase,) = load_method(CONF_DIR.parent, "peft", parse_overrides(settings))["phases"]
    assert phase["upstream_conf"]["peft"] == {
        "adapter": {"width": 64, "place": "block", "layers": "all"},
        "lora": {"rank": 4, "alpha": 8, "targets": ["q", "k", "v"], "layers": "all"},
        "gate": None,
    }


def test_wrong_settings_are_refused(tiny):
    for wanted, words in (
        (conf(tune="bitfit"), "inside of this upstream"),
        (conf(peft={"ia3": {}}), "ia3: no block is used"),
        (conf(tune="last", last_blocks=1), "last_blocks is 1, and this encoder runs no block"),
    ):
        with pytest.raises(SertlError, match=words):
            tune(build_upstream(load_conf("fbank", CONF_DIR)), wanted, [0])


@pytest.mark.parametrize("file", FAMILIES)
def test_gradient_checkpointing_changes_no_gradient(tiny, file):
    upstream = fresh(tiny, file)
    torch.manual_seed(0)
    tune(upstream, conf(tune="all", peft=PARTS["everything"], grad_checkpoint=True), [1, 3])
    set_off(upstream)
    twin = copy.deepcopy(upstream)
    twin.grad_checkpoint = False
    wavs, lens = torch.randn(2, 3000), torch.tensor([3000, 1700])
    saved = []
    for model in (upstream, twin):
        inside = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, inside=inside: (inside.append(t.numel()), t)[1], lambda t: t
        ):
            hidden, _ = model(wavs, lens, [1, 3])
        sum(h.square().sum() for h in hidden).backward()
        saved.append(sum(inside))
    assert saved[0] < 0.5 * saved[1]
    for (name, a), b in zip(upstream.named_parameters(), twin.parameters(), strict=True):
        if a.requires_grad:
            assert torch.equal(a.grad, b.grad), name


def test_a_stage_that_trained_everything_starts_one_with_parts(tiny):
    """LoRA leaves the weights' names alone, so those of an earlier phase find their place."""
    first = Model(fresh(tiny, "hubert_base.pt"))
    tune(first.upstream, conf(tune="all"), [3])
    with torch.no_grad():
        for parameter in own(first.upstream).values():
            if parameter.requires_grad:
                parameter.mul_(1.1)
    second = Model(fresh(tiny, "hubert_base.pt"))
    tune(second.upstream, conf(peft=PARTS["lora"]), [3])
    counts = init_from(second, trained_state(first), "first")
    assert counts["dropped"] == 0 and counts["loaded"] == len(trained_state(first))
    noise = torch.randn(1, 3000), torch.tensor([3000])
    first.upstream.eval()
    both = states(first.upstream, noise), states(second.upstream, noise)
    assert all(relative(a, b) < 1e-6 for a, b in zip(*both, strict=True))


def test_a_checkpoint_is_small_and_fits_its_encoder_alone(tiny, tmp_path):
    model = Model(fresh(tiny, "hubert_large.pt"))
    inject(model.upstream, {"lora": LORA})
    state = trained_state(model)
    assert all(".peft.lora." in n for n in state)
    merged = copy.deepcopy(model)
    fold_lora(merged.upstream)
    with pytest.raises(SertlError, match="does not fit the model.*unexpected"):
        load_trained(merged, state, "x.pt")
    # Another or a merged encoder has another hash, which decode compares.
    confs = [
        load_conf("hubert_base", CONF_DIR, {"ckpt": str(tiny / f"hubert_{kind}.pt")})
        for kind in ("base", "large")
    ]
    assert describe(confs[0]) != describe(confs[1])
    for name, upstream in (
        ("a.pt", model.upstream),
        ("b.pt", set_off(copy.deepcopy(model.upstream))),
    ):
        fold_lora(upstream)
        torch.save(upstream.state_dict(), tmp_path / name)
    assert checkpoint_hash(str(tmp_path / "a.pt")) != checkpoint_hash(str(tmp_path / "b.pt"))


def test_size_of_a_checkpoint_for_whisper_tiny(whisper_dir, tmp_path):
    upstream = build_upstream(load_conf("whisper_tiny_en", CONF_DIR, {"ckpt": str(whisper_dir)}))
    tune(upstream, conf(peft={"lora": {"alpha": 8}}), [4])
    # 4 blocks * 3 matrices * 8 * (384 + 384) = 73,728 numbers of 4 bytes
    assert trained_by_group(Model(upstream)) == {"lora": 73728}
    save(tmp_path / "best.pt", {"model": trained_state(Model(upstream))})
    assert (tmp_path / "best.pt").stat().st_size < 73728 * 4 + 20_000
