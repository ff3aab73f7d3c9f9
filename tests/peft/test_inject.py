# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Every part in every family: what trains, that it acts, where it starts; nothing else moves."""

import copy
import re

import pytest
import torch
from awkward_clips import CONF_DIR, relative
from injected import FAMILIES, LORA, MORE, PARTS, Model, fresh, own, parts, set_off, states
from torch import nn
from torch.nn import functional as F

from sertl.errors import SertlError
from sertl.peft.inject import fold_lora, inject
from sertl.train.checkpoint import load_trained, trained_state
from sertl.upstream.build import build_upstream, load_conf

ALL_STATES = [0, 1, 2, 3]


SOME = ("everything", "prefix_plain", "dora")
CASES = [
    pytest.param((f, p), id=f"{f}-{p}") for f in FAMILIES for p in (SOME if f in MORE else PARTS)
]


@pytest.fixture(scope="module")
def clips():
    """Three clips, the shortest of one frame; the padding is noise too. Shorter than conftest's."""
    wavs = torch.randn(3, 6000, generator=torch.Generator().manual_seed(1))
    return wavs, torch.tensor([6000, 3201, 300])


@pytest.fixture(scope="module", params=CASES)
def case(request, tiny):
    """File, name of the parts, and an upstream with them at their start; not to be changed."""
    file, name = request.param
    upstream = fresh(tiny, file)
    torch.manual_seed(0)
    inject(upstream, PARTS[name])
    return file, name, upstream


def test_only_the_parts_train_and_the_encoder_stays_in_evaluation_mode(case):
    _, name, upstream = case
    assert parts(upstream) and all(p.requires_grad for p in parts(upstream).values())
    assert not any(p.requires_grad for p in own(upstream).values())
    found = {key.split(".peft.")[1].split(".")[0] for key in parts(upstream)}
    assert found == set(PARTS[name])
    Model(upstream).train()
    assert not upstream.frozen
    assert not any(m.training for m in upstream.modules())


def test_names_of_the_encoders_tensors_stay(case, tiny):
    file, _, upstream = case
    assert list(own(upstream)) == [n for n, _ in fresh(tiny, file).named_parameters()]


def test_start(case, tiny, clips):
    """All parts begin as the pretrained function, but for the two that are asked not to."""
    file, name, upstream = case
    before, frames = fresh(tiny, file)(*clips)
    with torch.no_grad():
        after, frames_after = upstream(*clips)
    assert len(after) == upstream.num_layers == 4
    assert frames.tolist() == frames_after.tolist()
    assert [h.shape for h in before] == [h.shape for h in after]
    if name in ("prefix_plain", "gate_ones"):
        assert relative(after[3], before[3]) > 1e-4
        if name == "gate_ones" and not upstream.blocks()[0].pre_norm:  # sigmoid(1)
            torch.testing.assert_close(after[1], before[1] * 0.7310586, rtol=1e-5, atol=1e-6)
        return
    for a, b in zip(after, before, strict=True):
        assert relative(a, b) < 3e-6  # attentions are called otherwise (upstream/attention.py)


def test_each_tensor_gets_gradient_and_the_encoder_none(case, clips):
    upstream = set_off(copy.deepcopy(case[2]))
    hidden, _ = upstream(*clips, layers=[3])
    (hidden[0] * torch.randn_like(hidden[0])).sum().backward()
    for name, parameter in parts(upstream).items():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert all(p.grad is None for p in own(upstream).values())


@torch.no_grad()
def test_padding_changes_nothing(case, clips):
    upstream = set_off(copy.deepcopy(case[2]))
    wavs, lens = clips
    batch, frames = upstream(wavs, lens)
    for row, length in enumerate(lens):
        alone, _ = upstream(wavs[row : row + 1, :length], lens[row : row + 1])
        for layer in ALL_STATES:
            assert relative(batch[layer][row, : frames[row]], alone[layer][0]) < 2e-5
            assert (batch[layer][row, frames[row] :] == 0).all()


def test_training_moves_the_parts_alone_and_a_checkpoint_brings_them_back(case, tiny, clips):
    file, name, upstream = case
    upstream = copy.deepcopy(upstream)
    kept = {n: t.clone() for n, t in own(upstream).items()}
    start = {n: t.clone() for n, t in parts(upstream).items()}
    optimizer = torch.optim.Adam(parts(upstream).values(), lr=0.01)
    for _ in range(2):
        optimizer.zero_grad()
        upstream(*clips, layers=[3])[0][0].square().sum().backward()
        optimizer.step()
    assert all(torch.equal(t, kept[n]) for n, t in own(upstream).items())
    assert not any(torch.equal(t, start[n]) for n, t in parts(upstream).items())
    state = trained_state(Model(upstream))
    assert state.keys() == {f"upstream.{n}" for n in parts(upstream)}
    other = fresh(tiny, file)
    inject(other, PARTS[name])
    load_trained(Model(other), state, "test")
    both = states(upstream, clips), states(other, clips)
    assert all(torch.equal(a, b) for a, b in zip(*both, strict=True))


def test_identity_gate_on_a_post_norm_model(tiny, clips):
    upstream = fresh(tiny, "hubert_base.pt")
    before = states(upstream, clips)
    inject(upstream, {"gate": {"init": "identity"}})
    assert all(torch.equal(a, b) for a, b in zip(states(upstream, clips), before, strict=True))


@pytest.mark.parametrize("file", FAMILIES)
def test_an_empty_prefix_gives_the_original(tiny, clips, file):
    upstream, size = fresh(tiny, file), 32
    before = states(upstream, clips)
    inject(upstream, {"prefix": {"length": 1, "zero": False}})
    for block in upstream.blocks():
        prefix = block.attention.peft["prefix"]
        prefix.keys = prefix.values = nn.Parameter(torch.empty(0, size))
    for a, b in zip(states(upstream, clips), before, strict=True):
        assert relative(a, b) < 2e-6


def test_prefix_by_hand(tiny):
    """With one huge key for one head's queries, that head's output is the prefix's value."""
    upstream = fresh(tiny, "hf_hubert_base")
    attention = upstream.blocks()[0].attention
    x = torch.randn(1, 6, 32)
    with torch.no_grad():
        attention.q_proj.weight.zero_()
        attention.q_proj.bias.fill_(1.0)
    plain = copy.deepcopy(upstream)
    inject(plain, {"prefix": {"length": 1, "zero": False}})
    inject(upstream, {"prefix": {"length": 1}})
    with torch.no_grad():
        before = attention(hidden_states=x)[0]
        inside = plain.blocks()[0].attention
        inside.peft["prefix"].keys.fill_(1e4)
        expected = inside.out_proj(inside.peft["prefix"].values[None].expand(1, 6, -1))
        torch.testing.assert_close(inside(hidden_states=x)[0], expected)
        # with a gate of 2, twice the prefix's value is added: one key has all of its softmax
        prefix = attention.peft["prefix"]
        prefix.gate.fill_(2.0)
        added = F.linear(2 * prefix.values[None].expand(1, 6, -1), attention.out_proj.weight)
        torch.testing.assert_close(attention(hidden_states=x)[0], before + added)


@pytest.mark.parametrize("file", ["hubert_base.pt", "hf_wav2vec2_base", "wavlm_base.pt"])
def test_order_in_a_block_is_adapter_then_gate(tiny, clips, file):
    upstream = fresh(tiny, file)
    before = states(upstream, clips, [1])[0]
    inject(upstream, {"gate": {"init": "ones"}, "adapter": {"width": 2}})
    with torch.no_grad():
        upstream.blocks()[0].module.peft["adapter"].up.bias.fill_(3.0)
    after = states(upstream, clips, [1])[0]
    expected = (before + 3.0) * 0.7310586 * (before != 0)  # zero where padded
    torch.testing.assert_close(after, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("file", ["hubert_large.pt", "hf_wav2vec2_large", "whisper"])
def test_adapter_after_the_feed_forward_part(tiny, clips, file):
    """In a pre-norm block y = x + u', so a constant on u' is a constant on y."""
    upstream = fresh(tiny, file)
    before = states(upstream, clips, [1])[0]
    inject(upstream, {"adapter": {"width": 2, "place": "ffn"}})
    with torch.no_grad():
        upstream.blocks()[0].module.peft["adapter"].up.bias.fill_(3.0)
    after = states(upstream, clips, [1])[0]
    torch.testing.assert_close(after, (before + 3.0) * (before != 0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("file", ["hubert_large.pt", "hf_wav2vec2_large", "whisper"])
def test_what_an_adapter_reads_by_its_place(tiny, clips, file):
    """block: what leaves the block, the residual stream included; ffn: what is added to that."""
    read = {}
    for place in ("block", "ffn"):
        upstream = fresh(tiny, file)
        before = states(upstream, clips, [0, 1])
        inject(upstream, {"adapter": {"width": 2, "place": place, "norm": "none"}})
        adapter = upstream.blocks()[0].module.peft["adapter"]
        adapter.register_forward_pre_hook(lambda _, args, at=place: read.update({at: args[0]}))
        states(upstream, clips, [1])
    batch = len(before[1])
    shown = {at: (x if len(x) == batch else x.transpose(0, 1))[0, :3] for at, x in read.items()}
    torch.testing.assert_close(shown["block"], before[1][0, :3], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(shown["ffn"], before[1][0, :3], atol=1e-2)


@pytest.mark.parametrize("file", FAMILIES)
def test_adapters_read_a_residual_stream_normalised(tiny, file):
    """auto: on the output of pre-norm blocks; a feed-forward part's output is of modest size."""
    for options, on_pre_norm in (({}, True), ({"place": "ffn"}, False), ({"norm": "none"}, False)):
        upstream = fresh(tiny, file)
        inject(upstream, {"adapter": {"width": 2, **options}})
        block = upstream.blocks()[0]
        normed = isinstance(block.module.peft["adapter"].norm, torch.nn.LayerNorm)
        assert normed == (on_pre_norm and block.pre_norm)


@pytest.mark.parametrize("file", FAMILIES)
def test_ia3_scales_keys_values_and_hidden_units(tiny, file):
    """Against hooks on the family's own layers, where they are called."""
    upstream = fresh(tiny, file)
    inject(upstream, {"ia3": {"layers": [1]}})
    set_off(upstream)
    block = upstream.blocks()[0]
    plain = fresh(tiny, file).blocks()[0]
    x = torch.randn(5, 32)
    for name in ("k", "v"):
        factor = block.linears[name].peft["ia3"].factor
        expected = plain.linears[name](x) * factor
        torch.testing.assert_close(block.linears[name](x), expected)
    hidden = torch.randn(5, 64)
    factor = block.ffn_out.peft["ia3"].factor
    torch.testing.assert_close(block.ffn_out(hidden), plain.ffn_out(hidden * factor))


@pytest.mark.parametrize("name", PARTS)
def test_layers_and_the_highest_state_used(tiny, name):
    upstream = fresh(tiny, "hubert_large.pt")
    inject(upstream, {part: {**o, "layers": [2]} for part, o in PARTS[name].items()})
    assert all("layers.1." in n for n in parts(upstream))
    upstream = fresh(tiny, "hubert_large.pt")
    inject(upstream, PARTS[name], top=2)
    assert {re.search(r"layers\.(\d)", n)[1] for n in parts(upstream)} == {"0", "1"}


@pytest.mark.parametrize("name", PARTS)
def test_a_copy_has_parts_of_its_own(tiny, clips, name):
    upstream = fresh(tiny, "wavlm_base.pt")
    inject(upstream, PARTS[name])
    before = states(upstream, clips)
    twin = set_off(copy.deepcopy(upstream))
    assert relative(states(twin, clips)[3], before[3]) > 1e-3
    assert torch.equal(states(upstream, clips)[3], before[3])


@pytest.mark.parametrize("name", ["lora", "everything"])
@pytest.mark.parametrize("file", FAMILIES)
def test_merged_lora_gives_the_same(tiny, clips, file, name):
    upstream = fresh(tiny, file)
    inject(upstream, PARTS[name])
    before = states(set_off(upstream), clips)
    assert fold_lora(upstream) > 0
    assert not any(".lora." in n for n in parts(upstream))
    for a, b in zip(states(upstream, clips), before, strict=True):
        assert relative(a, b) < 2e-6
    if name == "lora":
        assert [n for n, _ in upstream.named_modules()] == [
            n for n, _ in fresh(tiny, file).named_modules()
        ]
    assert fold_lora(upstream) == 0


def test_lora_equals_adding_the_low_rank_path(tiny, clips):
    """y + s B A x by hooks: right where the layers are called, as in transformers' HuBERT."""
    upstream, other = fresh(tiny, "hf_hubert_large"), fresh(tiny, "hf_hubert_large")
    inject(upstream, {"lora": {**LORA, "alpha": 6}})
    set_off(upstream)
    for block, plain in zip(upstream.blocks(), other.blocks(), strict=True):
        for name, linear in plain.linears.items():
            lora = block.linears[name].peft["lora"]
            linear.register_forward_hook(
                lambda _, args, y, lora=lora: y + 1.5 * args[0] @ lora.a.T @ lora.b.T
            )
    for a, b in zip(states(upstream, clips), states(other, clips), strict=True):
        assert relative(a, b) < 1e-6


def test_lora_equals_the_peft_library(tiny, clips):
    peft = pytest.importorskip("peft", reason="the peft library is not installed")
    upstream, other = fresh(tiny, "hf_hubert_large"), fresh(tiny, "hf_hubert_large")
    inject(upstream, {"lora": {"rank": 4, "alpha": 6}})
    set_off(upstream)
    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj", "k_proj", "v_proj"])
    other.model = peft.inject_adapter_in_model(config, other.model)
    with torch.no_grad():
        for block, wrapped in zip(upstream.blocks(), other.model.encoder.layers, strict=True):
            for name in ("q", "k", "v"):
                lora = block.linears[name].peft["lora"]
                theirs = getattr(wrapped.attention, f"{name}_proj")
                theirs.lora_A["default"].weight.copy_(lora.a)
                theirs.lora_B["default"].weight.copy_(lora.b)
    for a, b in zip(states(upstream, clips), states(other, clips), strict=True):
        assert relative(a, b) < 1e-6


@pytest.mark.parametrize("file", FAMILIES)
def test_bf16_is_close(tiny, clips, file):
    upstream = fresh(tiny, file)
    inject(upstream, PARTS["everything"])
    exact = states(set_off(upstream), clips)
    upstream.bf16 = True
    hidden, _ = upstream(*clips, layers=[3])
    hidden[0].sum().backward()
    assert hidden[0].dtype == torch.float32 and 0 < relative(hidden[0].detach(), exact[3]) < 0.03
    assert all(p.grad.isfinite().all() for p in parts(upstream).values())


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"adaptor": {}}, "unknown PEFT module 'adaptor'; did you mean 'adapter'"),
        ({"adapter": {"widht": 8}}, "key of upstream_conf.peft.adapter: 'widht'; .* 'width'"),
        ({"adapter": {"width": 0}}, "upstream_conf.peft.adapter: width: 0 is not a whole number"),
        ({"adapter": {"place": "ffm"}}, "place: 'ffm' is not block . ffn; did you mean 'ffn'"),
        ({"adapter": {"norm": "batch"}}, "norm: 'batch' is not auto . layer . none"),
        ({"lora": {"rank": 4}}, "upstream_conf.peft.lora needs alpha"),
        (
            {"lora": {**LORA, "targets": ["qv"]}},
            r"targets: \['qv'\] is not a list .* q . k",
        ),
        (
            {"lora": {**LORA, "targets": "qkv"}},
            "targets: 'qkv' is not a list .* q . k",
        ),
        ({"lora": {**LORA, "rank": 33}}, "rank is 33, expected a whole number from 1 to 32"),
        ({"gate": {"init": "one"}}, "init: 'one' is not auto . ones . identity"),
        ({"prefix": {"length": 0}}, "length: 0 is not a whole number of at least 1"),
        ({"ia3": {"rank": 2}}, "unknown key of upstream_conf.peft.ia3: 'rank'"),
        ({"ia3": {"layers": [0, 1]}}, r"ia3.layers is \[0, 1\], expected all or a list .* 1\.\.3"),
        ({"ia3": {"layers": [4]}}, r"out of 1\.\.3"),
        ({"ia3": {"layers": "last"}}, "layers is 'last', expected all or"),
        ({"ia3": 3}, "upstream_conf.peft.ia3 is 3, expected its options"),
        ({"ia3": None}, "names no module"),
    ],
)
def test_wrong_parts_are_refused(tiny, wanted, message):
    with pytest.raises(SertlError, match=message):
        inject(fresh(tiny, "hubert_base.pt"), wanted)


def test_parts_go_in_once_and_below_a_used_state(tiny):
    upstream = fresh(tiny, "hubert_base.pt")
    with pytest.raises(SertlError, match="hidden state 0 is the input of the first"):
        inject(upstream, {"ia3": {}}, top=0)
    inject(upstream, {"ia3": {}, "lora": None})
    with pytest.raises(SertlError, match="has PEFT modules already"):
        inject(upstream, {"gate": {}})


def test_an_encoder_of_unknown_inside_is_refused():
    upstream = build_upstream(load_conf("fbank", CONF_DIR))
    with pytest.raises(SertlError, match="inside of this upstream .S3prlUpstream. is not known"):
        inject(upstream, {"ia3": {}})
