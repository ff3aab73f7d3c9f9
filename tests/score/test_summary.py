# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Averages over folds and seeds, worked by hand on tiny scores."""

from pathlib import Path

import numpy as np
import pytest

from sertl.errors import SertlError
from sertl.runs import Run
from sertl.score.metrics import class_scores, confusion_matrix
from sertl.score.summary import fold_metrics, summarise

LABELS = ["a", "b"]


def scored(seed, fold, ref, hyp, num_folds=2, **protocol):
    """One run's score file."""
    confusion = confusion_matrix(ref, hyp, 2)
    card = {
        **{"corpus": "c", "release": "r", "policy": "2class", "labels": LABELS, "protocol": "loso"},
        **{"num_folds": num_folds, "select": "dev_ua", "test_group": f"s{fold}"},
        **{"fold_hash": f"hash{fold}", "n_per_class": {}, "shared_speakers": 0},
        **protocol,
    }
    return {
        "set": "test",
        "fold": fold,
        "seed": seed,
        "labels": LABELS,
        "protocol": card,
        "n": len(ref),
        "emotion": class_scores(confusion, LABELS),
        "classes": {},
        "utts": {
            "utt": [f"f{fold}-{i}" for i in range(len(ref))],
            "spk": [f"f{fold}"] * len(ref),
            "dur_sec": [float(i) for i in range(len(ref))],
            "ref": ref,
            "hyp": hyp,
        },
    }


def runs(*scores):
    return {Run(Path("exp"), s["seed"], s["fold"]): s for s in scores}


def four_runs():
    """Seed 1: UA 1 and 1/2, seed 2: UA 3/4 and 1/2; WA the same as the classes are even."""
    return runs(
        scored(1, 1, [0, 0, 1, 1], [0, 0, 1, 1]),
        scored(1, 2, [0, 1], [0, 0]),
        scored(2, 1, [0, 0, 1, 1], [0, 1, 1, 1]),
        scored(2, 2, [0, 1], [1, 1]),
    )


def test_over_folds_by_hand():
    ua = summarise(four_runs())["metrics"]["ua"]
    over = ua["over_folds"]
    # seed means 3/4 and 5/8; deviations over folds (N - 1): (1/2)/sqrt(2) and (1/4)/sqrt(2)
    assert over["mean"] == pytest.approx((3 / 4 + 5 / 8) / 2)
    assert over["std_folds"] == pytest.approx((0.5 + 0.25) / 2 / 2**0.5)
    assert over["std_seeds"] == pytest.approx((3 / 4 - 5 / 8) / 2**0.5)
    assert ua["per_fold"]["1"]["mean"] == pytest.approx(7 / 8)
    assert ua["per_fold"]["1"]["std_seeds"] == pytest.approx((1 / 4) / 2**0.5)
    assert ua["per_fold"]["2"]["by_seed"] == {"1": 0.5, "2": 0.5}


def test_pooled_by_hand():
    summary = summarise(four_runs())
    pooled = summary["metrics"]["ua"]["pooled"]
    # six utterances, three of each class: seed 1 misses one of b, seed 2 two of a
    assert pooled["by_seed"] == pytest.approx({"1": (1 + 2 / 3) / 2, "2": (1 / 3 + 1) / 2})
    assert pooled["mean"] == pytest.approx(3 / 4)
    assert pooled["std_seeds"] == pytest.approx((5 / 6 - 2 / 3) / 2**0.5)
    assert pooled["interval_utt"][0] < pooled["mean"] < pooled["interval_utt"][1]
    assert summary["emotion"]["confusion"] == [[2, 1], [0.5, 2.5]]
    assert summary["emotion"]["support"] == {"a": 3, "b": 3}
    assert summary["emotion"]["recall"] == pytest.approx({"a": 2 / 3, "b": 5 / 6})
    assert (summary["n"], summary["num_speakers"]) == (6, 2)
    assert summary["complete"]
    assert summary["warnings"] == []


def test_pooling_differs_from_averaging_where_a_fold_lacks_a_class():
    summary = summarise(runs(scored(1, 1, [0, 0], [0, 0]), scored(1, 2, [0, 1, 1], [1, 1, 0])))
    ua = summary["metrics"]["ua"]
    assert ua["over_folds"]["mean"] == pytest.approx(
        (1 + 1 / 4) / 2
    )  # UA of fold 1 is of one class
    assert ua["pooled"]["mean"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert summary["fold_classes"] == {"1": 1, "2": 2}


def test_one_fold_and_one_seed_have_no_deviation():
    summary = summarise(runs(scored(1, 1, [0, 1], [0, 1], num_folds=1)))
    over = summary["metrics"]["ua"]["over_folds"]
    assert (over["mean"], over["std_folds"], over["std_seeds"]) == (1.0, None, None)


def test_missing_folds_are_warned_about_and_left_out():
    some = four_runs()
    del some[Run(Path("exp"), 2, 2)]
    summary = summarise(some)
    assert not summary["complete"]
    assert summary["warnings"] == [
        "seed 2 lacks fold 2 of 2",
        "fold 2 left out, because not every seed has it",
    ]
    assert summary["folds"] == [1]
    assert summary["metrics"]["ua"]["pooled"]["by_seed"] == {"1": 1.0, "2": 0.75}
    only = runs(scored(1, 1, [0], [0]), scored(2, 2, [0], [0]))
    with pytest.raises(SertlError, match="seed 1 has folds 1; seed 2 has folds 2"):
        summarise(only)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policy": "4class"}, "differ in policy: 4class and 2class"),
        ({"protocol": "fixed"}, "differ in protocol: fixed and loso"),
        ({"fold_hash": "other"}, "scored on different fold lists"),
    ],
)
def test_mixtures_are_refused(change, message):
    mixed = runs(scored(1, 1, [0, 1], [0, 1]), scored(2, 1, [0, 1], [0, 1], **change))
    with pytest.raises(SertlError, match=message):
        summarise(mixed)


def test_other_references_are_refused():
    with pytest.raises(SertlError, match="different fold lists"):
        summarise(runs(scored(1, 1, [0, 1], [0, 1]), scored(2, 1, [1, 1], [0, 1])))


def test_nothing_scored():
    with pytest.raises(SertlError, match=r"run stage 8 \(score\) first"):
        summarise({})


def test_utterances_in_several_folds_are_warned_about():
    twice = runs(scored(1, 1, [0, 1], [0, 1]), scored(1, 2, [0, 1], [0, 1]))
    for value in twice.values():
        value["utts"]["utt"] = ["x", "y"]
    assert "2 utterances are in several folds" in summarise(twice)["warnings"][0]
    assert summarise(twice, pool=False)["warnings"] == []


def test_durations_fall_into_bins_by_their_lower_edge():
    bins = summarise(four_runs())["by_duration"]
    assert [(b["from_sec"], b["to_sec"], b["n"]) for b in bins] == [
        (0.0, 1.0, 2),
        (1.0, 2.0, 2),
        (2.0, 3.0, 1),
        (3.0, 4.0, 1),
    ]
    # first bin: "a" of both folds; seed 1 right twice, seed 2 once
    assert bins[0]["ua"] == pytest.approx(3 / 4)
    assert bins[0]["recall"] == {"a": pytest.approx(3 / 4), "b": None}


def test_a_metric_that_a_fold_lacks_is_averaged_over_the_others():
    table = fold_metrics({1: {1: {"ccc_mean": 0.5}, 2: {"ccc_mean": None}, 3: {"ccc_mean": 0.7}}})
    assert table["ccc_mean"]["over_folds"]["mean"] == pytest.approx(0.6)
    assert table["ccc_mean"]["over_folds"]["num_folds"] == 2
    assert list(table["ccc_mean"]["per_fold"]) == ["1", "3"]


def test_numbers_are_plain_for_json():
    def walk(value):
        if isinstance(value, dict):
            assert all(isinstance(key, str) for key in value)
            value = value.values()
        for part in value if isinstance(value, (list, type({}.values()))) else []:
            assert not isinstance(part, (np.generic, np.ndarray)), part
            walk(part)

    walk(summarise(four_runs()))


def test_orders_of_clips_are_averaged_and_their_spread_is_kept():
    """Two orders: UA 1 and 1/2 over fold 1 (the other fold has one order, all right)."""
    first = scored(1, 1, [0, 0, 1, 1], [0, 0, 1, 1])
    first["utts"]["hyp_orders"] = [[0, 1, 0, 1]]
    mean = (confusion_matrix([0, 0, 1, 1], [0, 0, 1, 1], 2) + np.array([[1, 1], [1, 1]])) / 2
    first["emotion"] = class_scores(mean, LABELS)
    second = scored(1, 2, [0, 1], [0, 1])
    summary = summarise(runs(first, second))
    # pooled recalls: 3/3 and 3/3 in the first order, 2/3 and 2/3 in the second
    assert summary["metrics"]["ua"]["pooled"]["mean"] == pytest.approx((1 + 2 / 3) / 2)
    assert summary["orders"]["number"] == 2
    assert summary["orders"]["std_ua"] == pytest.approx((1 / 3) / 2**0.5)
    assert summary["emotion"]["recall"]["a"] == pytest.approx((1 + 2 / 3) / 2)
    assert summarise(four_runs())["orders"] is None
