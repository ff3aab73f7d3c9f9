# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Properties of every model of every method conf, found by discovery: a new one is tested unasked.

Models of input `wav` run on a tiny encoder; those of input `feats` on random hidden states.
"""

from pathlib import Path

import pytest
import torch
from fakes import LABELS, build_model

from sertl.config import load_method
from sertl.data.batch import Batch
from sertl.errors import SertlError
from sertl.models.base import MODELS, SERModel, Spec
from sertl.nn.losses import CLASS_LOSSES, ClassLoss
from sertl.train.checkpoint import load_trained, trained_state
from sertl.upstream.padding import replace_frames

CONF = Path(__file__).resolve().parents[2] / "conf"
METHODS = sorted(
    str(p.relative_to(CONF / "method").with_suffix("")) for p in (CONF / "method").rglob("*.yaml")
)
SIZE, LAYERS = 16, 3
CLUSTERS = (8, 12)  # of two sets of frame pseudo-labels
VOCAB = 6  # tokens with the blank


class TinyEncoder(torch.nn.Module):
    """Two frame-wise layers with the interface of Upstream; padding frames are zero."""

    num_layers, hidden_size, stride, sample_rate, frozen = LAYERS, SIZE, 320, 16000, True

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(SIZE, SIZE) for _ in range(LAYERS - 1))

    def mask_embedding(self):
        return None

    def forward(self, wavs, wav_lens, layers=None, mask=None):
        lens = wav_lens // 320
        state = wavs[:, : lens.max() * 320].unflatten(1, (-1, 320))[:, :, :SIZE]
        states = [replace_frames(state, mask)]
        for layer in self.layers:
            states.append(layer(states[-1]).tanh())
        mask = torch.arange(state.shape[1]) < lens[:, None]
        return [states[i] * mask[:, :, None] for i in layers or range(LAYERS)], lens


def phases():
    for method in METHODS:
        conf = load_method(CONF, method)
        teacher = [conf["teacher"]] if "teacher" in conf else []
        for phase in teacher + conf["phases"]:
            if MODELS.get(phase["model"]).solved:
                continue  # test_linear.py
            yield pytest.param(conf["input"], phase, id=f"{method}-{phase['name']}")


def build(kind, phase, seed=0):
    torch.manual_seed(seed)
    choice = phase["data_conf"]["layers"]
    layers = [LAYERS - 1] if choice == "last" else list(range(LAYERS))
    spec = Spec(
        labels=LABELS,
        hidden_size=SIZE,
        layers=layers,
        vad_range=(1.0, 5.0),
        clusters=CLUSTERS,
        vocab_size=VOCAB,
        classes={"gender": ("f", "m"), "style": ("improvised", "scripted")},
        time_mask=phase["data_conf"]["time_mask"],
        time_mask_span=2,
    )
    upstream = TinyEncoder() if kind == "wav" else None
    if upstream is not None and phase["upstream_conf"]["tune"] == "none":
        upstream.requires_grad_(False)
    return build_model(phase["model"], spec, upstream, phase["model_conf"])


def make_batch(model, kind, lens=(24, 5, 17, 4), extra=0, noise=0.0):
    """A batch whose padding is extra frames longer than needed and filled with noise."""
    generator = torch.Generator().manual_seed(1)
    num, longest, num_layers = len(lens), max(lens) + extra, len(model.spec.layers)
    batch = Batch(utt=[f"u{i}" for i in range(num)], seeds=list(range(num)))
    if kind == "wav":
        batch.wav = noise * torch.randn(num, longest * 320)
        for row, n in zip(batch.wav, lens, strict=True):
            row[: n * 320] = torch.randn(n * 320, generator=generator)
        batch.wav_lens = torch.tensor(lens) * 320
    else:
        batch.feats = noise * torch.randn(num, num_layers, longest, SIZE)
        for row, n in zip(batch.feats, lens, strict=True):
            row[:, :n] = torch.randn(num_layers, n, SIZE, generator=generator)
        batch.lens = torch.tensor(lens)
    batch.emo = torch.arange(num) % len(LABELS)
    batch.gender = torch.arange(num) % 2
    batch.style = torch.arange(num) % 2
    batch.vad = torch.rand(num, 3, generator=generator) * 4 + 1
    batch.pseudo = torch.full((num, len(CLUSTERS), longest), -1)
    for row, n in zip(batch.pseudo, lens, strict=True):
        row[:, :n] = 1  # the same for all frames: TinyEncoder tells nothing of a masked one
    batch.token_lens = torch.tensor([(n + 3) // 4 for n in lens])
    batch.tokens = torch.arange(max(batch.token_lens)).repeat(num, 1) % (VOCAB - 1) + 1
    return batch


@pytest.mark.parametrize(("kind", "phase"), phases())
def test_finite_loss_and_gradients_where_they_belong(kind, phase):
    model = build(kind, phase).train()
    loss, stats = model(make_batch(model, kind))
    assert loss.isfinite() and float(stats["weight"]) > 0
    loss.backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        else:
            assert parameter.grad is None, name


@pytest.mark.parametrize(("kind", "phase"), phases())
def test_padding_changes_nothing(kind, phase):
    model = build(kind, phase).eval()
    with torch.no_grad():
        plain_loss, _, plain = model.evaluate(make_batch(model, kind))
        noisy_loss, _, noisy = model.evaluate(make_batch(model, kind, extra=6, noise=100.0))
    assert plain.keys() == noisy.keys()
    for name in plain:
        torch.testing.assert_close(noisy[name], plain[name], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(noisy_loss, plain_loss, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "phase"), phases())
def test_one_utterance_of_one_frame(kind, phase):
    model = build(kind, phase).train()
    loss, _ = model(make_batch(model, kind, lens=(1,)))
    loss.backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert loss.isfinite() and all(g.isfinite().all() for g in grads)


@pytest.mark.parametrize(("kind", "phase"), phases())
def test_save_and_load_give_equal_outputs(kind, phase):
    model, other = build(kind, phase).eval(), build(kind, phase, seed=5).eval()
    if other.upstream is not None:  # frozen parts come from the encoder's own checkpoint
        other.upstream.load_state_dict(model.upstream.state_dict())
    load_trained(other, trained_state(model), "test")
    batch = make_batch(model, kind)
    with torch.no_grad():
        first, second = model.evaluate(batch), other.evaluate(batch)
    assert torch.equal(first[0], second[0]) and first[2].keys() == second[2].keys()
    assert all(torch.equal(first[2][k], second[2][k]) for k in first[2])


def classifiers():
    """Every phase that decides on emotions, with a loss of its user's instead of its own."""
    for case in phases():
        kind, phase = case.values
        if phase["model"] not in ("local_attributes", "frame_prediction"):
            conf = {k: v for k, v in phase["model_conf"].items() if k != "loss_conf"}
            if "emo" in conf.get("tasks", ("emo",)):
                yield pytest.param(
                    kind, {**phase, "model_conf": {**conf, "loss": "raises"}}, id=case.id
                )


@pytest.mark.parametrize(("kind", "phase"), classifiers())
def test_every_classifier_calls_a_registered_loss(kind, phase, monkeypatch):
    class Raises(ClassLoss):
        def forward(self, logits, target):
            raise ArithmeticError("called")

    monkeypatch.setitem(CLASS_LOSSES._things, "raises", Raises)
    model = build(kind, phase).train()
    with pytest.raises(ArithmeticError, match="called"):
        model(make_batch(model, kind))
    monkeypatch.setattr(SERModel, "emotion_loss", lambda *_: 1 / 0)  # which keeps heads apart
    with pytest.raises(ZeroDivisionError):
        model(make_batch(model, kind))


@pytest.mark.parametrize("loss", ["ce", "votes", "am_softmax"])
def test_the_loss_is_that_of_the_own_head(loss):
    """Values and gradients of both heads, as if each had its utterances alone."""
    spec = Spec(["a::x", "a::y", "b::x", "b::y", "b::z"], 4, [0])
    model = SERModel(spec)
    model.emo_loss = CLASS_LOSSES.build(loss, None, conf={})
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    batch = Batch(utt=list("uvwxyz"))
    batch.labels["emo"] = torch.tensor([0, 1, 1, 4, 2, -1])
    value, weight = model.emotion_loss(logits, batch)
    value.backward()
    assert weight == 5 and not logits.grad[:3, 2:].any() and not logits.grad[3:, :2].any()
    first, _ = model.emo_loss(logits[:3, :2], batch.labels["emo"][:3])
    second, _ = model.emo_loss(logits[3:5, 2:], batch.labels["emo"][3:5] - 2)
    torch.testing.assert_close(value, (3 * first + 2 * second) / 5)


@pytest.mark.parametrize(("kind", "phase"), classifiers())
def test_every_classifier_can_normalise_speakers(kind, phase):
    """Its pooled vectors are shown, and what is taken out of them changes what it says."""
    conf = {k: v for k, v in phase["model_conf"].items() if k != "loss"}
    model = build(kind, {**phase, "model_conf": conf}).eval()
    batch = make_batch(model, kind)
    model.collected = {}
    with torch.no_grad():
        before = model.predict(batch)["emo"]
        found, model.collected = model.collected, None
        assert found.keys() == set(batch.utt)
        model.shifts = {utt: torch.zeros(1, len(found[utt])) for utt in batch.utt}
        assert torch.equal(model.predict(batch)["emo"], before)
        generator = torch.Generator().manual_seed(0)
        model.shifts[batch.utt[1]] = torch.randn(1, len(found["u1"]), generator=generator)
        after = model.predict(batch)["emo"]
    same = [torch.equal(a, b) for a, b in zip(after, before, strict=True)]
    assert same == [True, False, True, True]


def test_a_loss_that_nothing_would_call_is_refused():
    phase = {"model": "probe", "data_conf": {"layers": "last", "time_mask": 0.0}}
    phase["model_conf"] = {"tasks": ["vad"], "loss": "ce"}
    with pytest.raises(SertlError, match="loss"):
        build("feats", phase)


@pytest.mark.parametrize(("kind", "phase"), phases())
def test_overfits_one_batch_and_frozen_stays_frozen(kind, phase):
    model = build(kind, phase).train()
    if phase["model"] == "local_attributes":  # targets that hardly move can be learned by heart
        model.momentum = (0.999, 0.9999)
    batch = make_batch(model, kind)
    before = {n: p.clone() for n, p in model.named_parameters()}
    # At a rate of 0.01 a Transformer adapter may leap out of the minimum that it had found,
    # and does on some machines.
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.002)
    losses = []
    for _ in range(100):
        loss, _ = model(batch)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.after_step(1, 100)
    assert losses[-1] < 0.5 * losses[0]
    for name, parameter in model.named_parameters():
        moves = parameter.requires_grad or "teacher" in name  # after_step moves an EMA teacher
        assert torch.equal(parameter, before[name]) != moves, name


def test_unknown_models_and_keys_are_refused():
    spec = Spec(labels=LABELS, hidden_size=4, layers=[0])
    assert "probe" in MODELS.names() and "base" not in MODELS.names()
    with pytest.raises(SertlError, match="unknown model 'prob'; did you mean 'probe'"):
        build_model("prob", spec, None, {})
    with pytest.raises(SertlError, match="did you mean 'pooling'"):
        build_model("probe", spec, None, {"poling": "mean"})
    with pytest.raises(SertlError, match="did you mean 'stat_attentive'"):
        build_model("probe", spec, None, {"pooling": "stat_atentive"})
    with pytest.raises(SertlError, match="activation: 'rel' is not none . relu"):
        build_model("probe", spec, None, {"activation": "rel"})
    with pytest.raises(SertlError, match="task vad needs a corpus with utt2vad"):
        build_model("probe", spec, None, {"tasks": ["vad"]})
