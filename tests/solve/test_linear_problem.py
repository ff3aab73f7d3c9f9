# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Solved heads against scikit-learn's, and what holds of every solution."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

from sertl.solve import linear_problem
from sertl.solve.linear_problem import LinearProblem


def made(count, size, classes=4, seed=0):
    """Vectors with a few large dimensions, as encoders have, and classes that overlap."""
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=count)
    y[:classes] = np.arange(classes)
    x = rng.normal(size=(count, size)) + 0.8 * rng.normal(size=(classes, size))[y]
    x = x * np.exp(rng.normal(size=size)) + 10 * rng.normal(size=size)
    return x, y


@pytest.mark.parametrize("strength", [0.001, 0.1, 10.0])
@pytest.mark.parametrize(("count", "size"), [(60, 150), (300, 40), (50, 50)])
def test_logistic_is_that_of_scikit_learn(count, size, strength):
    x, y = made(count, size)
    standard = StandardScaler().fit_transform(x)
    theirs = LogisticRegression(C=strength, class_weight="balanced", max_iter=20_000, tol=1e-9)
    theirs.fit(standard, y)
    problem = LinearProblem(torch.from_numpy(x))
    ((found,),) = problem.logistic(torch.from_numpy(y), 4, [strength])
    weight, bias = problem.on_vectors(found)
    assert np.abs(weight.numpy() - theirs.coef_).max() < 1e-4
    ours = problem.place(torch.from_numpy(x)) @ found.weight + found.bias
    expected = theirs.predict_proba(standard)
    assert np.abs(torch.softmax(ours, 1).numpy() - expected).max() < 1e-5
    centred = bias.numpy() - bias.numpy().mean()
    assert np.abs(centred - (theirs.intercept_ - theirs.intercept_.mean())).max() < 1e-4


def test_the_way_without_rotation_ends_at_the_same_solution(monkeypatch):
    x, y = made(80, 30)
    rotated = LinearProblem(torch.from_numpy(x))
    ((first,),) = rotated.logistic(torch.from_numpy(y), 4, [0.1])
    monkeypatch.setattr(linear_problem, "LARGEST", 10)
    plain = LinearProblem(torch.from_numpy(x))
    assert plain.axes is None
    ((second,),) = plain.logistic(torch.from_numpy(y), 4, [0.1])
    a, b = rotated.on_vectors(first)[0], plain.on_vectors(second)[0]
    assert (a - b).abs().max() < 1e-4


def test_each_head_is_solved_as_if_it_were_alone():
    """The weights of a row are N / (classes * n of its class), so strengths differ by a factor."""
    x, y = made(120, 20, classes=5)
    x = torch.from_numpy(x / x.std(axis=0))
    joint = LinearProblem(x, standardise=False)
    heads = (0, 1, 0, 1, 1)
    ((found,),) = joint.logistic(torch.from_numpy(y), 5, [0.1], heads=heads)
    weight, _ = joint.on_vectors(found)
    for own in ([0, 2], [1, 3, 4]):
        rows = np.isin(y, own)
        alone = LinearProblem(x[rows], standardise=False)
        strength = 0.1 * (120 / 5) / (rows.sum() / len(own))
        ((single,),) = alone.logistic(
            torch.from_numpy(np.searchsorted(own, y[rows])), len(own), [strength]
        )
        expected, _ = alone.on_vectors(single)
        assert (weight[own] - expected).abs().max() < 1e-3
        logits = (joint.coordinates @ found.weight + found.bias)[:, own]
        other = alone.place(x) @ single.weight + single.bias
        assert (logits.softmax(1) - other.softmax(1)).abs().max() < 1e-3


def test_a_path_of_strengths_on_several_rows_is_each_solved_alone():
    x, y = made(90, 120)
    y[y == 3] = 0
    y[3::9] = 3  # class 3 is in the rows of the first set alone
    rows = torch.stack([torch.arange(90) % 3 != 1, torch.arange(90) % 9 != 3])
    problem = LinearProblem(torch.from_numpy(x))
    path = problem.logistic(torch.from_numpy(y), 4, [0.001, 0.03, 1.0], rows)
    for strength, found in zip([0.001, 0.03, 1.0], path, strict=True):
        for one, solution in zip(rows.numpy(), found, strict=True):
            kept, known = problem.coordinates[torch.from_numpy(one)].numpy(), np.unique(y[one])
            theirs = LogisticRegression(
                C=strength, class_weight="balanced", max_iter=9999, tol=1e-9
            )
            theirs.fit(kept, y[one])
            assert np.abs(solution.weight.T.numpy()[known] - theirs.coef_).max() < 1e-4
    assert path[0][1].bias[3] < -20 and not path[0][1].weight[:, 3].abs().max() > 1e-6


def test_a_class_without_a_row_is_never_chosen():
    x, y = made(60, 20)
    problem = LinearProblem(torch.from_numpy(x))
    rows = torch.from_numpy(y != 2)
    ((solved,),) = problem.logistic(torch.from_numpy(y), 4, [1.0], rows[None])
    for found in (solved, problem.prototypes(torch.from_numpy(y), 4, rows)):
        logits = problem.coordinates @ found.weight + found.bias
        assert logits.isfinite().all() and not (logits.argmax(1) == 2).any()


@pytest.mark.parametrize(("count", "size"), [(40, 90), (200, 30)])
def test_ridge_is_that_of_scikit_learn(count, size):
    x, _ = made(count, size)
    values = x[:, :3] @ np.random.default_rng(1).normal(size=(3, 2)) + 5.0
    rows = torch.arange(count) % 4 != 1
    problem = LinearProblem(torch.from_numpy(x))
    for strength in (0.001, 0.5):
        (found,) = problem.ridge(torch.from_numpy(values), [strength], rows)
        theirs = Ridge(alpha=1 / strength).fit(
            problem.coordinates[rows].numpy(), values[rows.numpy()]
        )
        ours = problem.coordinates @ found.weight + found.bias
        assert np.abs(ours.numpy() - theirs.predict(problem.coordinates.numpy())).max() < 1e-7


def test_prototypes_are_the_nearest_class_means():
    x, y = made(50, 20)
    problem = LinearProblem(torch.from_numpy(x))
    found = problem.prototypes(torch.from_numpy(y), 4)
    logits = problem.coordinates @ found.weight + found.bias
    standard = StandardScaler().fit_transform(x)
    theirs = NearestCentroid().fit(standard, y).predict(standard)
    assert np.array_equal(logits.argmax(1).numpy(), theirs)
    means = np.stack([standard[y == c].mean(axis=0) for c in range(4)])
    half = -0.5 * ((standard[:, None] - means) ** 2).sum(axis=2) / 20
    shared = logits.numpy() - half  # the same for all classes of an utterance
    assert np.abs(shared - shared[:, :1]).max() < 1e-8


def test_a_class_of_one_example_has_a_prototype():
    x, y = made(60, 20)
    rows = torch.from_numpy(y != 2)
    alone = int(np.flatnonzero(y == 2)[0])
    rows[alone] = True
    problem = LinearProblem(torch.from_numpy(x))
    found = problem.prototypes(torch.from_numpy(y), 4, rows)
    logits = problem.coordinates @ found.weight + found.bias
    assert logits[alone].argmax() == 2


def test_a_dimension_that_does_not_vary_changes_nothing():
    x, y = made(60, 12)
    constant = np.concatenate([x, np.full((60, 1), 7.0)], axis=1)
    logits = []
    for vectors in (x, constant):
        problem = LinearProblem(torch.from_numpy(vectors))
        ((found,),) = problem.logistic(torch.from_numpy(y), 4, [0.1])
        logits.append(problem.coordinates @ found.weight + found.bias)
    assert (logits[0] - logits[1]).abs().max() < 1e-4
    moved = constant + np.r_[np.zeros(12), 3.0]  # elsewhere it may be another
    assert torch.allclose(problem.place(torch.from_numpy(moved)), problem.coordinates, atol=1e-6)
