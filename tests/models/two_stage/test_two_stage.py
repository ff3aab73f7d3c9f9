# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Two-stage model: loss weights, tasks without labels, fusion, counts; stage 2 from stage 1."""

import copy
import itertools
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fakes import LABELS, build_model
from torch.nn import functional as F

from sertl.config import load_method
from sertl.data.batch import Batch
from sertl.errors import SertlError
from sertl.models.base import Spec
from sertl.models.two_stage.two_stage import TaskMLP, loss_weights
from sertl.peft.adapter import Bottleneck
from sertl.peft.lora import LoRA
from sertl.peft.slots import peft_of
from sertl.peft.tuning import trained_by_group, tune
from sertl.train.checkpoint import init_from, load_trained, trained_state
from sertl.upstream.s3prl import build_s3prl
from sertl.upstream.tiny import BLOCKS, SIZE, save_hf, save_hubert, save_wav2vec2, save_whisper
from sertl.upstream.whisper import build_whisper

CONF = Path(__file__).resolve().parents[3] / "conf"
CLASSES = {"gender": ("f", "m"), "style": ("improvised", "scripted")}
SPEC = Spec(labels=LABELS, hidden_size=6, layers=[0], vocab_size=5, classes=CLASSES)
ALL = ["emo", "asr", "gender", "style"]


def build(seed=0, spec=SPEC, upstream=None, **conf):
    torch.manual_seed(seed)
    return build_model("two_stage", spec, upstream, {"hidden": 8, **conf})


def make_batch(lens=(9, 7, 8, 2)):
    generator = torch.Generator().manual_seed(1)
    batch = Batch(utt=[f"u{i}" for i in range(len(lens))])
    batch.feats = torch.randn(len(lens), 1, max(lens), 6, generator=generator)
    batch.lens = torch.tensor(lens)
    batch.emo = torch.tensor([0, 1, 2, 0])[: len(lens)]
    batch.gender = torch.tensor([0, 1, -1, 0])[: len(lens)]
    batch.style = torch.tensor([0, 1, 1, -1])[: len(lens)]  # -1: none of the training data's
    batch.tokens = torch.tensor([[1, 2, 3], [2, 2, 0], [0, 0, 0], [1, 2, 3]])[: len(lens)]
    batch.token_lens = torch.tensor([3, 2, 0, 3])[: len(lens)]  # the last one needs 3 of 2 frames
    return batch


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    "extra", [c for n in range(4) for c in itertools.combinations(ALL[1:], n)], ids="-".join
)
def test_shares_of_every_subset_of_tasks(extra):
    """TC1: 0.1 for each auxiliary task, the rest for emotion."""
    expected = {"emo": {0: 1.0, 1: 0.9, 2: 0.8, 3: 0.7}[len(extra)], **dict.fromkeys(extra, 0.1)}
    assert loss_weights(["emo", *extra], None) == pytest.approx(expected)
    model = build(tasks=["emo", *extra])
    assert model.weights == pytest.approx(expected)
    assert set(model.needs) == {"emo"} | {"text" if t == "asr" else t for t in extra}
    batch = make_batch((9, 7))
    loss, stats = model(batch)
    assert loss.item() == pytest.approx(sum(w * stats[f"loss_{t}"] for t, w in expected.items()))
    assert set(model.predict(batch)) == {"emo"} | {"ctc" if t == "asr" else t for t in extra}


def test_shares_can_be_set():
    assert loss_weights(["emo", "asr"], {"asr": 0.3, "style": 0.2}) == pytest.approx(
        {"emo": 0.7, "asr": 0.3}
    )
    for weights, message in (
        ({"asr": 1.0}, "weights.asr is 1.0"),
        ({"asr": 0.5, "style": 0.5}, "leave nothing for emotion"),
        ({"emo": 0.5}, "unknown auxiliary task"),
        ({"stile": 0.5}, "did you mean 'style'"),
    ):
        with pytest.raises((SertlError, ValueError), match=message):
            loss_weights(["emo", "asr", "style"], weights)


def test_loss_by_parts():
    """Sums over the utterances with the label, divided by all four."""
    model, batch = build(tasks=ALL), make_batch()
    loss, stats = model(batch)
    found = model.encode(batch)
    emo = F.cross_entropy(model.classifiers["emo"](found["emo"]), batch.emo)
    gender = F.cross_entropy(
        model.classifiers["gender"](found["gender"]), batch.gender, ignore_index=-1, reduction="sum"
    )
    logits = model.classifiers["style"](found["style"])[:3]  # the fourth has an unknown style
    style = F.cross_entropy(logits, torch.tensor([0, 1, 1]), reduction="sum")
    log_probs = found["asr"][:2].log_softmax(2).transpose(0, 1)
    asr = F.ctc_loss(log_probs, batch.tokens[:2], batch.lens[:2], batch.token_lens[:2])
    expected = 0.7 * emo + 0.1 * (gender / 4 + style / 4 + asr * 2 / 4)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert stats["weight"] == 4 and stats["asr_too_short"] == pytest.approx(1 / 4)


def test_cutting_a_batch_changes_nothing():
    """Missing labels and utterances without recognition loss included."""
    model = build(tasks=ALL, task_mlp=True, fusion="shared", scl="cos").train()
    batch = make_batch()
    loss, stats = model(batch)
    total = 0.0
    for i in range(4):
        piece = Batch(utt=[batch.utt[i]])
        for name in ("feats", "lens", "emo", "gender", "style", "tokens", "token_lens"):
            setattr(piece, name, getattr(batch, name)[i : i + 1])
        value, part = model(piece)
        total += value.item() * part["weight"]
    assert total / stats["weight"] == pytest.approx(loss.item(), rel=1e-5)


def test_too_short_utterances_are_named_once(caplog):
    """TC4."""
    model, batch = build(), make_batch()
    with caplog.at_level(logging.WARNING):
        loss, _ = model(batch)
        model(batch)
    assert caplog.text.count("u3: fewer frames than the transcript needs") == 1
    assert "u0" not in caplog.text and loss.isfinite()


def test_shared_predicts_from_emotion_features_alone():
    """TC5, and the mean over tasks in training."""
    conf = {"tasks": ["emo", "gender", "style"], "task_mlp": True, "fusion": "shared"}
    model, batch = build(**conf).train(), make_batch()
    found, classify = model.encode(batch), model.classifiers["emo"]
    each = [F.cross_entropy(classify(found[t]), batch.emo) for t in conf["tasks"]]
    _, stats = model(batch)
    assert stats["loss_emo"].item() == pytest.approx((sum(each) / 3).item(), rel=1e-5)
    model.eval()
    _, stats, outputs = model.evaluate(batch)
    assert stats["loss_emo"].item() == pytest.approx(each[0].item(), rel=1e-5)
    with torch.no_grad():
        for task in ("gender", "style"):
            for parameter in model.features[task].parameters():
                parameter.add_(1.0)
    assert torch.equal(model.predict(batch)["emo"], outputs["emo"])


def test_concatenation_sees_all_features():
    model = build(tasks=["emo", "gender", "style"], fusion="concat")
    assert model.classifiers["emo"].in_features == 3 * 8
    before = model.predict(make_batch())["emo"]
    with torch.no_grad():
        model.features["style"].bias.add_(1.0)
    assert not torch.equal(model.predict(make_batch())["emo"], before)


def test_self_contrastive_loss_is_added():
    plain = build(tasks=["emo", "gender"])
    model = build(tasks=["emo", "gender"], scl="norm", scl_weight=0.5)
    batch = make_batch()
    found = model.encode(batch)
    distance = (found["emo"] - found["gender"]).norm(dim=1).mean()
    expected = plain(batch)[0] + 0.5 * distance
    assert model(batch)[0].item() == pytest.approx(expected.item(), rel=1e-5)
    printed = build(tasks=["emo", "gender"], scl="norm", scl_weight=0.5, scl_sign="printed")
    expected = plain(batch)[0] - 0.5 * distance
    assert printed(batch)[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_tasks_without_labels(caplog):
    """TC5: left out and said so; refused where they are required."""
    bare = Spec(labels=LABELS, hidden_size=6, layers=[0])
    with caplog.at_level(logging.WARNING):
        model = build(spec=bare, tasks=ALL, fusion="shared", scl="cos")
    for task in ALL[1:]:
        assert f"task {task} is left out" in caplog.text
    assert model.tasks == ["emo"] and model.weights == {"emo": 1.0}
    assert model.facts()["tasks_left_out"] == ALL[1:]
    loss, _ = model(make_batch())
    assert loss.isfinite() and set(model.predict(make_batch())) == {"emo"}
    for task, what in (("asr", "transcripts"), ("gender", "gender labels"), ("style", "style lab")):
        with pytest.raises(SertlError, match=f"task {task} is required, but .* no {what}"):
            build(spec=bare, tasks=ALL, require=[task])


def test_a_task_with_one_class_is_left_out(caplog):
    """Corpora of acted speech have one style: nothing to learn, and no feature for the fusion."""
    acted = Spec(labels=LABELS, hidden_size=6, layers=[0], classes={**CLASSES, "style": ("acted",)})
    model = build(spec=acted, tasks=["emo", "gender", "style"], fusion="concat", scl="cos")
    assert "task style is left out: the training data have one style only" in caplog.text
    assert model.tasks == ["emo", "gender"] and model.weights == {"emo": 0.9, "gender": 0.1}
    assert set(model.features) == {"emo", "gender"}
    with pytest.raises(SertlError, match="style is required, but .* have one style only"):
        build(spec=acted, tasks=["emo", "style"], require=["style"])


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"tasks": ["asr"]}, "must hold emo"),
        ({"tasks": ["emo", "emo"]}, "each task once"),
        ({"tasks": ["emo", "genders"]}, "did you mean 'gender'"),
        ({"require": ["style"]}, "not among tasks"),
        ({"fusion": "shared"}, "need gender or style"),
        ({"scl": "cos"}, "need gender or style"),
        ({"tasks": ALL, "fusion": "cat"}, "fusion: 'cat' is not none . concat . shared"),
        ({"tasks": ALL, "scl": "norms"}, "did you mean 'norm'"),
        ({"tasks": ALL, "scl_sign": "print"}, "did you mean 'printed'"),
        (
            {"tasks": ALL, "scl": "cos", "scl_weight": 0.0},
            "scl_weight: 0.0 is not",
        ),
    ],
)
def test_wrong_settings(conf, message):
    with pytest.raises(SertlError, match=message):
        build(**conf)


def test_number_of_parameters_after_the_pooling():
    """Methods: task adapters and classifiers of stage 2 at D = 1024, n = 256, four emotions."""
    spec = Spec(labels=list("abcd"), hidden_size=1024, layers=[24], classes=CLASSES)
    stage2 = load_method(CONF, "two_stage")["phases"][1]
    paper = {**stage2["model_conf"], "pooling": "mean"}  # of one layer; ours reads [mean; std]
    assert count(build_model("two_stage", spec, None, paper)) == 986632


def test_number_of_parameters_inside_the_encoder():
    """Methods: of 24 blocks of size 1024, LoRA on three matrices and an adapter in each."""
    parts = load_method(CONF, "two_stage")["phases"][1]["upstream_conf"]["peft"]
    lora = LoRA(1024, 1024, parts["lora"]["rank"], parts["lora"]["alpha"])
    assert 24 * len(parts["lora"]["targets"]) * count(lora) == 9437184 and lora.scale == 1
    assert 24 * count(Bottleneck(1024, parts["adapter"]["width"])) == 12613632
    assert parts["adapter"]["place"] == "ffn"


ENCODERS = {
    "hubert": ("hubert_local", save_hubert),
    "wav2vec2": ("wav2vec2_local", save_wav2vec2),
    "hf_wav2vec2": ("hf_wav2vec2_custom", lambda path: save_hf(path, "wav2vec2", "large")),
    "whisper": (None, save_whisper),
}


@pytest.fixture(scope="module", params=ENCODERS)
def encoder(request, tmp_path_factory):
    """A function: a fresh frozen encoder of one family."""
    entry, save = ENCODERS[request.param]
    path = tmp_path_factory.mktemp("tiny") / request.param
    torch.manual_seed(0)
    save(path)
    upstream = build_whisper(path) if entry is None else build_s3prl(entry, path, {})
    upstream(torch.zeros(1, 800), torch.tensor([800]))
    return lambda: copy.deepcopy(upstream)


def small(phase):
    """The phase's upstream_conf with parts that fit the tiny encoders."""
    parts = {
        name: {**options, "rank": 4, "alpha": 4} if name == "lora" else {**options, "width": 8}
        for name, options in phase["upstream_conf"]["peft"].items()
        if options is not None
    }
    return {**phase["upstream_conf"], "peft": parts}


def stage(encoder, phase, seed):
    upstream = encoder()
    tune(upstream, small(phase), [BLOCKS])
    spec = Spec(
        labels=LABELS,
        hidden_size=SIZE,
        layers=[BLOCKS],
        vocab_size=5,
        classes=CLASSES,
    )
    return build(seed, spec, upstream, **phase["model_conf"])


def audio():
    batch = make_batch()
    batch.feats = batch.lens = None
    batch.wav = 0.1 * torch.randn(4, 8000, generator=torch.Generator().manual_seed(2))
    batch.wav_lens = torch.tensor([8000, 6400, 7000, 640])
    return batch


def train(model, steps=3):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(steps):
        loss, _ = model.train()(audio())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def hidden(model):
    with torch.no_grad():
        return model.hidden(audio())[0]


@pytest.mark.parametrize("row", ["scl_cos", "all_all", "adapters_adapters"])
def test_stage_2_starts_where_stage_1_ended(encoder, row):
    """TC2; and a decoder that has only stage 2's checkpoint gets stage 1's encoder too."""
    first, second = load_method(CONF, f"two_stage/{row}")["phases"]
    model = train(stage(encoder, first, 0))
    ended = hidden(model)
    assert not torch.equal(ended, hidden(stage(encoder, first, 0)))

    next_model = stage(encoder, second, 1)
    heads = copy.deepcopy(next_model.classifiers["emo"].weight)
    init_from(next_model, trained_state(model), "stage1", only=second["init"]["only"])
    # Not bit for bit: under LoRA attentions call their projections (upstream/attention.py).
    torch.testing.assert_close(hidden(next_model), ended, rtol=1e-4, atol=1e-5)
    assert torch.equal(next_model.classifiers["emo"].weight, heads)  # new

    before = {n: p.detach().clone() for n, p in next_model.named_parameters()}
    train(next_model)
    for name, parameter in next_model.named_parameters():
        own = name.startswith("upstream.") and not peft_of(name)
        if own and row != "all_all":
            assert torch.equal(parameter, before[name]), name
        elif parameter.requires_grad and not name.endswith("k_proj.bias"):  # softmax cancels it
            assert not torch.equal(parameter, before[name]), name
    if row != "all_all":
        assert set(trained_by_group(next_model)) == {"adapter", "lora", "head"}

    decoder = stage(encoder, second, 2)
    load_trained(decoder, trained_state(next_model), "stage2")
    expected, found = next_model.predict(audio()), decoder.eval().predict(audio())
    assert all(torch.equal(found[kind], expected[kind]) for kind in expected)


def test_the_encoders_adapters_cannot_get_lost(encoder):
    first, _ = load_method(CONF, "two_stage/adapters_adapters")["phases"]
    second = load_method(CONF, "two_stage/all_all")["phases"][1]
    state = trained_state(stage(encoder, first, 0))
    with pytest.raises(SertlError, match="trained tensors that this phase's lacks.*peft"):
        init_from(stage(encoder, second, 0), state, "stage1", only=["upstream"])


def test_task_mlp_by_hand():
    adapter = TaskMLP(2, width=2)
    with torch.no_grad():
        adapter.down.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        adapter.down.bias.copy_(torch.tensor([1.0, 0.0]))
        adapter.out.weight.copy_(torch.tensor([[2.0, 5.0], [0.0, 1.0]]))
        adapter.out.bias.copy_(torch.tensor([0.0, 3.0]))
    # down: (2 + 1, -4); ReLU: (3, 0); out: (6, 3)
    assert adapter(torch.tensor([[2.0, 4.0]])).tolist() == [[6.0, 3.0]]
    # no residual: what the first layer holds back does not reach the output
    assert adapter(torch.tensor([[-9.0, 9.0]])).tolist() == [[0.0, 3.0]]


def test_size():
    adapter = TaskMLP(1024)
    # 1024 * 256 + 256 + 256 * 256 + 256
    assert sum(p.numel() for p in adapter.parameters()) == 328192
    assert adapter(torch.zeros(3, 1024)).shape == (3, 256)


def test_class_weights_reach_the_loss():
    weights = [1.0, 3.0, 0.5]
    spec = replace(SPEC, class_weights=weights)
    model, batch = build(spec=spec, tasks=["emo"]), make_batch()
    logits = model.predict(batch)["emo"]
    summed = F.cross_entropy(logits, batch.emo, torch.tensor(weights), reduction="sum")
    torch.testing.assert_close(model(batch)[1]["loss_emo"], summed.detach() / 4)
