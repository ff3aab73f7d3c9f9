# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Which update is kept: by hand."""

import math

import pytest

from sertl.errors import SertlError
from sertl.train.choice import Choice
from sertl.train.saved_state import State


def looks(choice, *values, stop=99):
    """The state after a look at dev after each update, and after which the model was kept."""
    state, kept = State(), []
    for update, found in enumerate(values, start=1):
        state.update = update
        if choice.keeps(state, found, update == stop):
            kept.append(update)
    return state, kept


def test_the_best_is_kept_and_patience_counts_the_looks_since():
    uas = [{"ua": ua} for ua in (0.5, 0.5, 0.7, 0.6, 0.7)]
    state, kept = looks(Choice("dev_ua", patience=2), *uas)
    assert kept == [1, 3] and state.best == 0.7 and state.best_update == 3
    assert state.stale == 2 and state.finished
    state, _ = looks(Choice("dev_ua", patience=3), *uas)
    assert not state.finished


def test_losses_are_better_the_lower_they_are():
    _, kept = looks(Choice("dev_loss"), *({"loss": loss} for loss in (0.5, 0.6, 0.4)))
    assert kept == [1, 3]


def test_nan_is_no_score_to_beat():
    state, kept = looks(Choice("dev_loss"), *({"loss": x} for x in (math.nan, 2.0, math.nan, 1.0)))
    assert kept == [1, 2, 4] and state.best == 1.0


def test_equal_scores_are_decided_by_loss_where_the_rule_says_so():
    same = [{"ua": 0.5, "loss": loss} for loss in (0.8, 0.7, 0.9)]
    assert looks(Choice("dev_ua_loss"), *same)[1] == [1, 2]
    assert looks(Choice("dev_ua"), *same)[1] == [1]
    assert looks(Choice("dev_ua_loss"), *same, {"ua": 0.6, "loss": 9.0})[1] == [1, 2, 4]


def test_last_keeps_the_last_whatever_dev_says():
    state, kept = looks(Choice("last", patience=1), {"ua": 0.9}, {"ua": 0.1}, {}, stop=3)
    assert kept == [3] and state.best is None and not state.finished


def test_a_score_that_the_model_does_not_give_is_named():
    with pytest.raises(SertlError, match=r"gives no dev ccc, only \['ua'\]"):
        looks(Choice("dev_ccc"), {"ua": 0.5})
