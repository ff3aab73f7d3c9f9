# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A solved start: the first prediction is the frozen features' own, whatever the model."""

from pathlib import Path

import pytest
import torch
from fakes import LABELS, FakeVectors, build_model, fake_dataset

from sertl.data.batching import ordered_batches
from sertl.data.datadir import DataDir
from sertl.data.dataset import UttDataset
from sertl.errors import SertlError
from sertl.models.base import Spec
from sertl.solve.held_out import Settings, Target
from sertl.solve.selection import choose, solve_choice
from sertl.train.evaluate import predict
from sertl.train.solved_start import solve_start

GENDERS = {"gender": ["f", "m"]}
SPEC = Spec(labels=LABELS, hidden_size=6, layers=[0, 1], vad_range=(1.0, 5.0), classes=GENDERS)
MODELS = {
    "plain": ("probe", {"combine": "concat", "hidden": 0, "pooling": "stat"}),
    "two layers": ("probe", {"combine": "concat", "hidden": 16, "pooling": "stat"}),
    "relu": ("probe", {"combine": "concat", "hidden": 16, "activation": "relu", "dropout": 0.3}),
    "gelu, mix": ("probe", {"hidden": 16, "activation": "gelu", "pooling": "stat_attentive"}),
    "ratings": ("probe", {"tasks": ("emo", "vad"), "combine": "concat", "pooling": "stat"}),
    "am": ("probe", {"hidden": 16, "loss": "am_softmax", "combine": "concat"}),
    "am, relu": ("probe", {"hidden": 16, "activation": "relu", "loss": "am_softmax"}),
    "wap": ("wap", {"wap": {"width": 4, "blocks": 1}, "bypass": "stat"}),
    "gmp_tl": ("gmp_tl", {"combine": "concat", "pooling": "stat"}),
    "teacher": (
        "gmp_tl",
        {"bilstm": 5, "bypass": True, "gender_weight": 0.1, "loss": "ce", "combine": "concat"},
    ),
    "stage 1": ("two_stage", {"tasks": ["emo"], "combine": "concat", "pooling": "stat"}),
    "stage 2": (
        "two_stage",
        {"tasks": ["emo", "gender"], "task_mlp": True, "fusion": "shared", "scl": "cos"},
    ),
    "stage 2, concat": (
        "two_stage",
        {"tasks": ["gender", "emo"], "fusion": "concat", "combine": "concat", "hidden": 32},
    ),
}


def with_genders(number):
    data = fake_dataset(number, spread=6.0)
    utts = {u.utt: u for u in data.utts}
    return UttDataset(
        DataDir(Path("fake"), utts, LABELS, (1.0, 5.0)),
        {"emo": LABELS, "gender": ["f", "m"]},
        feats=data.feats,
    )


def started(kind, conf, data, spec=SPEC, upstream=None):
    torch.manual_seed(0)
    model = build_model(kind, spec, upstream, conf).eval()
    order = ordered_batches(range(len(data)), data.durs_sec, 8, 1e9)
    with torch.no_grad():
        model.initialise(data.batch(i) for i in order)
    facts = solve_start(model, data, (data.batch(i) for i in order), torch.device("cpu"))
    return model, facts


def frozen_logits(model, data, task="emo"):
    """What regressions on the model's own pooled vectors, solved here, say of every utterance."""
    batch = data.batch(range(len(data)))
    views, width = model.start_shape
    with torch.no_grad():
        vectors = model.pool(batch)[:, : views * width].unflatten(1, (views, width))
    target = Target(batch.labels[task], len(model.spec.all_classes[task]))
    settings = Settings(first_columns=6 if width == 12 else 0)
    groups = [u.spk for u in data.utts]
    choice = choose(vectors, target, groups, settings)
    return solve_choice(vectors, target, groups, choice, settings), vectors, batch


@pytest.mark.parametrize("name", MODELS)
def test_first_prediction_is_that_of_the_solved_head(name):
    kind, conf = MODELS[name]
    data = with_genders(60)
    model, facts = started(kind, conf, data)
    assert "emo" in facts
    head, vectors, batch = frozen_logits(model, data)
    said = model.predict(batch)
    one = head.as_one_map(vectors)(vectors.flatten(1)).float()
    assert (one.argmax(1) != batch.emo).any(), "too easy to tell anything"
    if "am" in name or kind == "gmp_tl" and conf.get("loss") != "ce":
        assert torch.equal(said["emo"].argmax(1), one.argmax(1))
        gap = (said["emo"].softmax(1) - one.softmax(1)).abs().max()
        assert gap < 0.1
        return
    torch.testing.assert_close(said["emo"].log_softmax(1), one.log_softmax(1), rtol=1e-4, atol=1e-4)
    if "gender" in said:
        head, vectors, batch = frozen_logits(model, data, "gender")
        one = head.as_one_map(vectors)(vectors.flatten(1)).float()
        torch.testing.assert_close(
            said["gender"].log_softmax(1), one.log_softmax(1), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("name", MODELS)
def test_all_of_the_model_still_learns(name):
    """Nothing is shut in by zeros: after two updates every tensor has moved."""
    kind, conf = MODELS[name]
    data = with_genders(24)
    model, _ = started(kind, {**conf, "dropout": 0.0} if kind == "probe" else conf, data)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()
    for _ in range(3):
        optimizer.zero_grad()
        loss, _ = model(data.batch(range(24)))
        loss.backward()
        optimizer.step()
    still = [n for n, p in model.named_parameters() if torch.equal(p, before[n])]
    # one speaker-independent exception: the layer weights of a mix that only recognition reads
    assert not [n for n in still if n != "mix.scores"], still


def test_one_map_of_a_blend_is_its_geometric_mean():
    """Worked by parts: log-probabilities of the parts, averaged, up to what sums to one."""
    torch.manual_seed(0)
    vectors = torch.randn(90, 3, 4)
    target = Target((vectors[:, 1, 0] + 0.5 * torch.randn(90) > 0).long(), 2)
    groups = [f"s{i % 5}" for i in range(90)]
    choice = choose(vectors, target, groups, Settings(first_columns=2))
    assert len(choice.parts) == 3
    head = solve_choice(vectors, target, groups, choice, Settings(first_columns=2))
    parts = []
    for part in head.parts:
        logs = [m(part.view(vectors, i)).log_softmax(1) for i, m in enumerate(part.maps)]
        parts.append(torch.stack(logs).mean(0))
    expected = torch.stack(parts).mean(0).log_softmax(1)
    found = head.as_one_map(vectors)(vectors.flatten(1)).float().log_softmax(1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_starts_that_cannot_be(tmp_path):
    data = fake_dataset(24)
    with pytest.raises(SertlError, match="tanh"):
        started("probe", {"activation": "tanh"}, data)
    with pytest.raises(SertlError, match="wider"):
        started("probe", {"hidden": 2}, data)
    with pytest.raises(SertlError, match="hidden layer first"):
        started("probe", {"hidden": 0, "loss": "am_softmax"}, data)
    model = build_model("local_attributes", SPEC, None, {"wap": {"width": 4, "blocks": 1}})
    with pytest.raises(SertlError, match="start=random"):
        solve_start(model, data, [], torch.device("cpu"))


def test_vectors_pooled_once_give_the_same_start():
    frames = fake_dataset(60, spread=6.0)
    vectors = fake_dataset(60, spread=6.0, kind=FakeVectors, statistics=("mean", "std"))
    conf = MODELS["plain"][1]
    said = []
    for data in (frames, vectors):
        model, _ = started("probe", conf, data)
        conf_batches = {"batch_size": 8, "batch_sec": 1e9}
        out, _ = predict(model, data, conf_batches, torch.device("cpu"))
        said.append(torch.stack([torch.from_numpy(out[u.utt]["emo"]) for u in data.utts]))
    torch.testing.assert_close(*said, rtol=1e-3, atol=1e-3)
