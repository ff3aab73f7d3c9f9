# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Choice by held-out speakers: which split, which layer, and that nothing of the held-out leaks."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from sertl.errors import SertlError
from sertl.nn.solved_head import stacked
from sertl.solve import selection
from sertl.solve.held_out import Settings, Target, held_out, inner_splits
from sertl.solve.selection import choose, solve_choice


def made(seed=0, count=120, layers=3, size=8, speakers=6):
    """Classes lie in layer 1 alone; in layer 0 each speaker's utterances give themselves away."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    spk = np.array([f"s{i % speakers}" for i in rng.permutation(count)])
    x = rng.normal(size=(count, layers, size))
    x[:, 1] += 2.5 * rng.normal(size=(3, size))[y]
    own = rng.normal(size=(speakers, 3, size))  # a class looks different in every speaker
    x[:, 0] += 4 * own[[int(s[1:]) for s in spk], y]
    return torch.from_numpy(x), Target(torch.from_numpy(y), 3), list(spk)


def test_the_layer_that_carries_over_to_other_speakers_wins():
    vectors, target, spk = made()
    choice = choose(vectors, target, spk, Settings(combine="best"))
    assert choice.parts[0]["layers"] == [1] and np.argmax(choice.layer_scores) == 1
    assert choice.groups == "leave one of 6 training speakers out"


def test_held_out_predictions_are_those_of_solutions_without_the_group():
    vectors, target, spk = made(size=5)
    parts, _ = inner_splits(spk, target.values.numpy())
    found = held_out(vectors[:, 1], target, parts, Settings(strengths=[0.1]))[0]
    x = vectors[:, 1].numpy()
    x = (x - x.mean(0)) / x.std(0)
    for part in parts:
        rest = np.setdiff1d(np.arange(len(x)), part)
        assert not {spk[i] for i in part} & {spk[i] for i in rest}
        theirs = LogisticRegression(C=0.1, class_weight="balanced", tol=1e-9, max_iter=9999)
        theirs.fit(x[rest], target.values.numpy()[rest])
        assert np.abs(theirs.predict_proba(x[part]) - found[part].exp().numpy()).max() < 5e-3


def test_labels_of_a_group_do_not_reach_what_is_said_of_it():
    vectors, target, spk = made()
    parts, _ = inner_splits(spk, None)
    changed = target.values.clone()
    changed[parts[2]] = (changed[parts[2]] + 1) % 3
    settings = Settings(strengths=[0.1])
    first = held_out(vectors[:, 1], target, parts, settings)
    second = held_out(vectors[:, 1], Target(changed, 3), parts, settings)
    # All groups are solved together, so they share the steps of the way, but not where it ends.
    assert torch.allclose(first[:, parts[2]], second[:, parts[2]], atol=0.02)
    assert (first - second).abs().max() > 1.0


def test_splits():
    many = [f"s{i % 30}" for i in range(90)]
    parts, words = inner_splits(many, None)
    assert len(parts) == 10 and words == "leave one of 10 groups of 30 training speakers out"
    assert sorted(np.concatenate(parts)) == list(range(90))
    for part in parts:
        assert not {many[i] for i in part} & {many[i] for i in set(range(90)) - set(part)}
    alone, words = inner_splits(["s"] * 9, np.arange(9) % 3)
    assert len(alone) == 3 and "only training speaker" in words
    with pytest.raises(SertlError, match="one speaker"):
        inner_splits(["s"] * 3, np.arange(3))


def test_ua_ties_are_broken_by_loss():
    vectors, target, spk = made()
    settings = Settings(combine="best", criterion="ua", strengths=[1e-5, 0.1])
    choice = choose(vectors, target, spk, settings)
    assert choice.parts[0]["layers"] == [1] and choice.inner_score > 0.9
    assert choice.parts[0]["strength"] == 0.1  # UA alike, and at 1e-5 nothing is certain


def test_values_are_chosen_by_ccc_and_unknown_ones_left_out():
    rng = np.random.default_rng(1)
    vectors = torch.from_numpy(rng.normal(size=(80, 2, 6)))
    values = vectors[:, 1, :3] @ torch.from_numpy(rng.normal(size=(3, 3))) + 3.0
    values[5] = float("nan")
    choice = choose(vectors, Target(values, 0), [f"s{i % 5}" for i in range(80)],
                    Settings(combine="best"))  # fmt: skip
    assert choice.parts[0]["layers"] == [1] and choice.inner_score > 0.95


def test_candidates_of_each_combination(monkeypatch):
    """Three layers, one strength: 3 alone, 2 concatenations, 3 ranges, 2 stacks."""
    vectors, target, spk = made()
    parts, _ = inner_splits(spk, None)
    settings = Settings(combine="auto", strengths=[0.1], first_columns=4)
    found = list(selection._candidates(vectors, target, parts, settings, "cpu"))
    assert [c.combine for c in found] == ["best"] * 3 + ["concat"] * 2 + ["mean"] * 3 + [
        "stack"
    ] * 2
    assert {c.columns for c in found if c.combine == "concat"} == {4, None}
    assert {c.layers for c in found if c.combine == "mean"} == {(0, 1), (1, 2), (0, 1, 2)}
    alone = torch.stack([c.held_out for c in found[:3]])
    for one in (c for c in found if c.combine == "mean"):
        expected = alone[list(one.layers)].exp().mean(dim=0).log()
        assert torch.allclose(one.held_out, expected)
    for one in (c for c in found if c.combine == "stack"):  # log-probabilities as they are
        only = Settings(strengths=[one.over])
        again = held_out(stacked(alone), target, parts, only, standardise=False)[0]
        assert torch.allclose(one.held_out, again, atol=0.03)
        other = held_out(stacked(alone), target, parts, only, standardise=True)[0]
        assert not torch.allclose(one.held_out, other, atol=0.05)


def test_a_stack_is_the_regression_on_held_out_log_probabilities():
    """Solved on all, it predicts what scikit-learn does from the same inputs, as they are."""
    vectors, target, spk = made()
    settings = Settings(combine="stack", strengths=[0.1])
    choice = choose(vectors, target, spk, settings)
    head = solve_choice(vectors.float(), target, spk, choice, settings)
    parts, _ = inner_splits(spk, target.values.numpy())
    views = vectors.float().double()
    logs = torch.stack(
        [held_out(views[:, n], target, parts, settings)[0] for n in range(3)]
    )  # (L, N, C)
    theirs = LogisticRegression(
        C=choice.parts[0]["over"], class_weight="balanced", tol=1e-9, max_iter=9999
    )
    theirs.fit(stacked(logs).numpy(), target.values.numpy())
    weight = head.parts[0].over.weight.numpy()
    assert np.abs(weight - theirs.coef_).max() < 1e-3
