# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Solved heads: what they choose, that they predict as solved, and what they refuse."""

import numpy as np
import pytest
import torch
from fakes import LABELS, FakeStore, FakeVectors, fake_dataset
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from sertl.errors import SertlError
from sertl.models.base import MODELS, Spec
from sertl.train.checkpoint import load_trained, trained_state

LAYERS, SIZE = 3, 6


def spec():
    classes = {"gender": ("f", "m"), "style": ()}
    return Spec(LABELS, SIZE, list(range(LAYERS)), vad_range=(1.0, 5.0), classes=classes)


def dataset(kind=FakeVectors, number=60, **options):
    options |= {"statistics": ("mean", "std")} if kind is FakeVectors else {}
    data = fake_dataset(number, LAYERS, SIZE, kind=kind, **options)
    data.classes["gender"] = ["f", "m"]
    data._index["gender"] = [["f", "m"].index(u.gender) for u in data.utts]
    return data


def solved(**conf):
    data = dataset()
    model = MODELS.build("linear", spec(), None, conf=conf)
    batch = data.batch(range(len(data)))
    model.solve(batch.vectors, batch, [u.spk for u in data.utts], "cpu")
    return model.eval(), data, batch


@pytest.mark.parametrize("combine", ["best", "mean", "stack", "concat", "auto", "blend"])
def test_it_learns_what_it_saw_and_opens_again(combine):
    model, _, batch = solved(combine=combine, tasks=["emo", "vad", "gender"])
    out = model.predict(batch)
    assert (out["emo"].argmax(1) == batch.emo).float().mean() > 0.9
    assert torch.allclose(out["emo"].exp().sum(dim=1), torch.ones(len(batch)), atol=1e-5)
    assert out["vad"].shape == (len(batch), 3) and out["gender"].shape == (len(batch), 2)
    assert {p["combine"] for p in model.chosen["emo"]["parts"]} <= {
        "best", "mean", "stack", "concat"
    }  # fmt: skip
    again = MODELS.build(
        "linear", spec(), None, conf={"combine": combine, "chosen": model.chosen,
                                      "tasks": ["emo", "vad", "gender"]},
    )  # fmt: skip
    load_trained(again, trained_state(model), "test")
    assert all(torch.equal(again.predict(batch)[k], v) for k, v in out.items())


def test_one_layer_is_scikit_learns_regression():
    model, _, batch = solved(combine="best", strengths=[0.1])
    (part,) = model.chosen["emo"]["parts"]
    x = batch.vectors[:, part["layers"][0]].double().numpy()
    standard = StandardScaler().fit_transform(x)
    theirs = LogisticRegression(C=0.1, class_weight="balanced", max_iter=9999, tol=1e-9)
    theirs.fit(standard, batch.emo.numpy())
    found = model.predict(batch)["emo"].exp().numpy()
    assert np.abs(found - theirs.predict_proba(standard)).max() < 1e-4


def test_it_is_deterministic_and_blind_to_the_order_of_layers_seen():
    first, _, batch = solved(tasks=["emo"])
    second, _, _ = solved(tasks=["emo"])
    assert first.chosen == second.chosen
    assert torch.equal(first.predict(batch)["emo"], second.predict(batch)["emo"])


def test_frames_and_vectors_give_the_same_and_padding_nothing():
    model, _, _ = solved()
    frames = dataset(FakeStore)
    vectors = dataset(FakeVectors)
    whole = model.predict(vectors.batch(range(20)))["emo"]
    batch = frames.batch(range(20))
    assert torch.allclose(model.predict(batch)["emo"], whole, atol=1e-4)
    for row, n in zip(batch.feats, batch.lens.tolist(), strict=True):
        row[:, n:] = float("nan")
    assert torch.allclose(model.predict(batch)["emo"], whole, atol=1e-4)


def test_prototypes_for_a_few_examples():
    model, _, batch = solved(head="prototype", combine="best")
    assert (model.predict(batch)["emo"].argmax(1) == batch.emo).float().mean() > 0.7


def test_what_it_refuses():
    for conf, words in (
        ({"tasks": ["sytle"]}, "did you mean 'style'"),
        ({"tasks": ["style"]}, "no two classes"),
        ({"combine": "bset"}, "did you mean 'best'"),
        ({"criterion": "us"}, "did you mean 'ua'"),
        ({"strengths": []}, "strengths"),
        ({"strengths": [0.0]}, "strengths"),
        ({"statistics": ["men"]}, "did you mean 'mean'"),
        ({"refit": "yes"}, "refit"),
    ):
        with pytest.raises(SertlError, match=words):
            MODELS.build("linear", spec(), None, conf=conf)
    model = MODELS.build("linear", spec(), None, conf={})
    data = dataset()
    batch = data.batch(range(len(data)))
    vectors = batch.vectors.clone()
    vectors[3, 0, 0] = float("nan")
    with pytest.raises(SertlError, match=f"{batch.utt[3]} are not finite"):
        model.solve(vectors, batch, [u.spk for u in data.utts], "cpu")


def test_it_says_what_it_chose():
    facts = solved(combine="auto")[0].facts()
    assert facts["chosen by"] == (
        "leave one of 4 training speakers out; balanced cross-entropy (negative)"
    )
    assert len(facts["layer_scores emo"]) == LAYERS and facts["solved on"] == "train + dev"
    assert ", C 0" in facts["chosen emo"]
