# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Votes of raters: data directory, policy, batch, loss, decoding and scores."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import rel_entr

from sertl.data.corpus import apply_policy
from sertl.data.datadir import Utterance, read_data_dir, write_data_dir
from sertl.errors import SertlError
from sertl.nn.losses import CLASS_LOSSES, cross_entropy
from sertl.score import metrics
from sertl.score.scoring import score_experiment

LABELS = ["ang", "neu", "sad"]


def utts():
    known = {"ang": 3.0, "sad": 1.0}
    return [
        Utterance("p-1", "p", "a.wav", 1.0, "ang", votes=known),
        Utterance("p-2", "p", "b.wav", 1.0, "neu"),
    ]


def test_a_data_directory_keeps_them_by_class(tmp_path):
    write_data_dir(tmp_path / "d", utts(), LABELS)
    assert (tmp_path / "d/utt2votes").read_text() == "p-1 3 0 1\np-2 -\n"
    first, second = read_data_dir(tmp_path / "d").utts.values()
    assert first.votes == {"ang": 3.0, "neu": 0.0, "sad": 1.0} and second.votes is None
    for wrong in ("1 2", "1 2 -3", "0 0 0", "a b c"):
        (tmp_path / "d/utt2votes").write_text(f"p-1 {wrong}\np-2 -\n")
        with pytest.raises(SertlError, match="expected 3 numbers of raters"):
            read_data_dir(tmp_path / "d")


def test_a_policy_merges_and_drops_them():
    corpus = SimpleNamespace(
        merge={"exc": "ang"}, drop=["oth"], labels=LABELS, excluded={}, only_style=None
    )
    votes = {"ang": 1, "exc": 2, "oth": 4, "unheard": 1}
    first, second = utts()
    kept, _ = apply_policy(corpus, [replace(first, votes=votes), replace(second, votes={"oth": 1})])
    assert kept[0].votes == {"ang": 3} and kept[1].votes is None


def batch(votes, emo):
    return SimpleNamespace(votes=votes, emo=torch.tensor(emo))


def test_the_loss_is_the_divergence_and_from_a_label_the_cross_entropy():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    nan = float("nan")
    votes = torch.tensor([[0.75, 0.0, 0.25], [nan] * 3, [1 / 3] * 3, [nan] * 3])
    loss = CLASS_LOSSES.build("votes", None, conf={})
    value, weight = loss.on(logits, batch(votes, [0, 1, -1, -1]))
    probs = logits.softmax(dim=1).double().numpy()
    known = rel_entr(votes[[0, 2]].double().numpy(), probs[[0, 2]]).sum(axis=1)
    assert weight == pytest.approx(3.0)  # the last has neither votes nor label
    assert float(value) == pytest.approx((known.sum() - np.log(probs[1, 1])) / 3, rel=1e-5)
    emo = torch.tensor([0, 1, 2, -1])
    for weights in (None, [0.5, 1.0, 2.0]):
        loss = CLASS_LOSSES.build("votes", weights, conf={})
        given = None if weights is None else torch.tensor(weights)
        expected = cross_entropy(logits, emo, given)
        for found in (loss.on(logits, batch(None, emo.tolist())),
                      loss.on(logits, batch(torch.full((4, 3), nan), emo.tolist()))):  # fmt: skip
            torch.testing.assert_close(found[0], expected[0])
            torch.testing.assert_close(found[1], expected[1])


def test_the_loss_learns_the_distribution():
    votes = torch.tensor([[0.6, 0.3, 0.1]]).repeat(2, 1)
    logits = torch.zeros(2, 3, requires_grad=True)
    loss, optimizer = CLASS_LOSSES.build("votes", None, conf={}), torch.optim.Adam([logits], 0.1)
    for _ in range(200):
        optimizer.zero_grad()
        value, _ = loss.on(logits, batch(votes, [0, 0]))
        value.backward()
        optimizer.step()
    assert value.item() < 1e-4
    torch.testing.assert_close(logits.softmax(dim=1)[0], votes[0], atol=0.01, rtol=0)


def test_divergences_by_hand():
    said, heard = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    found = metrics.divergences(said, heard)
    assert found["kl"] == pytest.approx(np.log(2) / 2, abs=1e-5)
    js = (np.log(4 / 3) + 0.5 * np.log(2 / 3) + 0.5 * np.log(2)) / 2
    assert found["js"] == pytest.approx(js / 2, abs=1e-4)


def test_predictions_are_scored_against_them(recipe):
    fake = recipe(num_sessions=3, utts_per_spk=6, rich=False)
    exp = fake.write_exp("A", seeds=(1,), folds=(1,), epochs=1)
    test, out = fake.root / "data/fold1/test", exp / "seed1/fold1/decode_test"
    data = read_data_dir(test)
    lines = [f"{utt} 3 1 0 0" for utt in data.utts]
    lines[0] = lines[0].split()[0] + " -"
    (test / "utt2votes").write_text("\n".join(lines) + "\n")
    (out / "hyp_votes").write_text("".join(f"{utt} 0.75 0.25 0 0\n" for utt in data.utts))
    score_experiment(exp, "test", [], [])
    scored = json.loads((out.parent / "score_test.json").read_text())
    assert scored["votes"]["n"] == len(data.utts) - 1
    assert scored["votes"]["kl"] == pytest.approx(0.0, abs=1e-5)
    (out / "hyp_votes").write_text("".join(f"{utt} 0.75\n" for utt in data.utts))
    (out.parent / "score_test.json").unlink()
    with pytest.raises(SertlError, match="expected 4 probabilities"):
        score_experiment(exp, "test", [], [])
