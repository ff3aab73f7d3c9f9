# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The calibrated loss: by hand, against scikit-learn's, and what does not change it."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from sertl.score.calibrated import calibrated_loss


def drawn(count=400, classes=4):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(count, classes))
    chance = np.exp(2.0 * logits) / np.exp(2.0 * logits).sum(axis=1, keepdims=True)
    return logits, np.array([rng.choice(classes, p=row) for row in chance])


def test_by_hand():
    """Two of three right by the same margin: the best factor makes that 2 / 3 sure."""
    logits = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    ref = np.array([0, 0, 0, 1, 1, 1])
    expected = -(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3))
    assert calibrated_loss(logits, ref) == pytest.approx(expected, abs=1e-6)


def test_the_scale_of_logits_does_not_count():
    logits, ref = drawn()
    first = calibrated_loss(logits, ref)
    for factor in (1e-3, 0.1, 30.0):
        assert calibrated_loss(factor * logits, ref) == pytest.approx(first, abs=1e-5)


def test_equals_logistic_regression_on_the_logits_difference():
    """Of two classes as many each: a slope without an intercept, and no penalty."""
    logits, ref = drawn(classes=2)
    both = np.concatenate([logits, logits[:, ::-1]]), np.concatenate([ref, 1 - ref])
    x = (both[0][:, 1] - both[0][:, 0])[:, None]
    model = LogisticRegression(C=1e12, fit_intercept=False, tol=1e-10).fit(x, both[1])
    expected = log_loss(both[1], model.predict_proba(x))
    assert calibrated_loss(*both) == pytest.approx(expected, abs=1e-6)


def test_every_class_counts_alike_and_nothing_is_worse_than_chance():
    logits, ref = drawn(classes=3)
    some = np.concatenate([np.flatnonzero(ref == 0), *[np.flatnonzero(ref == 1)] * 5])
    once = np.flatnonzero(ref < 2)
    assert calibrated_loss(logits[some], ref[some]) == pytest.approx(
        calibrated_loss(logits[once], ref[once]), abs=1e-5
    )
    assert calibrated_loss(-logits, ref) == pytest.approx(np.log(3), abs=1e-4)
    out = np.where(np.arange(3) == 2, -np.inf, logits)[once]
    assert calibrated_loss(out, ref[once]) < np.log(2)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0, 1000.0])
def test_is_the_least_on_a_grid_of_factors(scale):
    """Scores of a margin loss: cosines, few of them wrong, some of these far from right."""
    rng = np.random.default_rng(1)
    for _ in range(30):
        ref = rng.integers(0, 7, rng.integers(30, 150))
        scores = rng.normal(scale=0.25, size=(len(ref), 7))
        scores[np.arange(len(ref)), ref] += rng.uniform(0.5, 1.2)
        losses = []
        for factor in np.exp(np.linspace(-3, 8, 400)):
            own = log_softmax(factor * scores, axis=1)[np.arange(len(ref)), ref]
            losses.append(np.mean([-own[ref == c].mean() for c in np.unique(ref)]))
        assert calibrated_loss(scale * scores, ref) == pytest.approx(min(losses), abs=1e-3)


def test_of_logits_that_are_no_numbers():
    logits, ref = drawn()
    logits[0, 0] = np.nan
    assert np.isnan(calibrated_loss(logits, ref))
