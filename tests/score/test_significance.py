# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Intervals and paired tests: by hand, against direct recomputation, and their error rate."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from sertl.score import significance
from sertl.score.significance import Predictions, compare, compare_over, holm, intervals


def predictions(ref, hyp, spk=None, num_classes=None) -> Predictions:
    ref, hyp = np.array(ref), np.atleast_2d(hyp)
    spk = np.arange(len(ref)) if spk is None else np.array(spk)
    return Predictions(ref, hyp, spk, num_classes or int(ref.max()) + 1)


def system(rng, ref, skill, seeds=1, num_classes=4):
    noise = rng.integers(num_classes, size=(seeds, len(ref)))
    return np.where(rng.random((seeds, len(ref))) < skill, ref, noise)


def test_score_is_the_mean_over_seeds():
    p = predictions([0, 0, 1], [[0, 0, 1], [1, 1, 1]])
    assert p.score("ua") == pytest.approx((1 + 1 / 2) / 2)
    assert p.correct().tolist() == [0.5, 0.5, 1.0]


def test_a_perfect_system_has_no_interval():
    for unit in ("utt", "spk"):
        found = intervals(predictions([0, 1, 2, 0], [0, 1, 2, 0], spk=[0, 0, 1, 1]), unit)
        assert found["ua"] == (1.0, 1.0)


def test_draws_are_those_of_repeated_utterances():
    """Scores from counts equal scikit-learn on the utterances that were really drawn."""
    rng = np.random.default_rng(5)
    ref = rng.integers(3, size=40)
    hyp = system(rng, ref, 0.5, seeds=2, num_classes=3)
    draws = np.concatenate(list(significance._draws(40, 60, seed=9)))
    expected = {"ua": [], "macro_f1": []}
    for draw in draws:
        rows = np.repeat(np.arange(40), draw)
        expected["ua"].append(
            np.mean([recall_score(ref[rows], h[rows], average="macro") for h in hyp])
        )
        expected["macro_f1"].append(
            np.mean([f1_score(ref[rows], h[rows], average="macro") for h in hyp])
        )
    found = intervals(predictions(ref, hyp), resamples=60, seed=9)
    for name, values in expected.items():
        assert found[name] == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))


def test_interval_has_the_width_of_a_binomial():
    rng = np.random.default_rng(0)
    ref = np.zeros(1000, int)
    hyp = (rng.random(1000) < 0.3).astype(int)  # accuracy about 0.7
    low, high = intervals(predictions(ref, hyp, num_classes=2))["wa"]
    assert high - low == pytest.approx(2 * 1.96 * (0.7 * 0.3 / 1000) ** 0.5, rel=0.1)


def test_speakers_that_are_all_right_or_all_wrong_widen_the_interval():
    spk = np.repeat(np.arange(10), 50)
    ref = np.zeros(500, int)
    hyp = np.where(spk % 2 == 0, 0, 1)
    p = predictions(ref, hyp, spk, num_classes=2)
    by_utt, by_spk = intervals(p, "utt")["wa"], intervals(p, "spk")["wa"]
    assert by_spk[1] - by_spk[0] > 5 * (by_utt[1] - by_utt[0])


def test_same_seed_same_interval():
    rng = np.random.default_rng(1)
    ref = rng.integers(4, size=100)
    p = predictions(ref, system(rng, ref, 0.5))
    assert intervals(p) == intervals(p)
    assert intervals(p) != intervals(p, seed=1)


def test_randomisation_by_hand():
    # One class, A right on all three, B on none: each utterance contributes 1/3. Of the 8 swaps
    # only "none" and "all" reach |difference| 1: p = 2/8.
    a, b = predictions([0, 0, 0], [0, 0, 0], num_classes=2), predictions([0, 0, 0], [1, 1, 1])
    test = compare(a, predictions([0, 0, 0], [1, 1, 1], num_classes=2))
    assert (test.a, test.b, test.difference) == (1.0, 0.0, 1.0)
    assert test.p_permutation == 2 / 8
    assert b.num_classes == 1  # the number of classes does not enter a paired test


def test_ua_weighs_classes_and_wa_does_not():
    # Class 0 has 4 utterances, class 1 has 1. A misses the one of class 1, B one of class 0.
    a = predictions([0, 0, 0, 0, 1], [0, 0, 0, 0, 0])
    b = predictions([0, 0, 0, 0, 1], [1, 0, 0, 0, 1])
    assert compare(a, b, "wa").difference == pytest.approx(0)
    assert compare(a, b, "ua").difference == pytest.approx(1 / 2 - (3 / 4 + 1) / 2)
    # contributions 1/8 and -1/2: |±1/8 ± 1/2| is 5/8 or 3/8, always at least the observed 3/8
    assert compare(a, b, "ua").p_permutation == 1.0


def test_a_system_equals_itself():
    rng = np.random.default_rng(2)
    ref = rng.integers(4, size=50)
    p = predictions(ref, system(rng, ref, 0.5, seeds=3))
    test = compare(p, p)
    assert test.difference == 0
    assert test.interval == (0, 0)
    assert test.p_permutation == test.p_bootstrap == 1


def test_a_clear_difference_is_found_and_signed():
    rng = np.random.default_rng(3)
    ref = rng.integers(4, size=400)
    a = predictions(ref, system(rng, ref, 0.8, seeds=2))
    b = predictions(ref, system(rng, ref, 0.5, seeds=3))  # another number of seeds
    test = compare(a, b)
    assert test.difference == pytest.approx(a.score("ua") - b.score("ua"))
    assert 0 < test.interval[0] < test.difference < test.interval[1]
    assert test.p_permutation < 0.001
    assert test.p_bootstrap < 0.01
    assert compare(b, a).difference == pytest.approx(-test.difference)


def test_swapping_speakers_is_exact_for_few():
    spk = [0, 0, 1, 1, 2, 2]
    a = predictions([0] * 6, [0] * 6, spk, 2)
    b = predictions([0] * 6, [1, 1, 1, 1, 0, 0], spk, 2)
    # contributions 1/3, 1/3, 0: of 8 swaps the 4 with equal signs on the first two reach 2/3
    assert compare(a, b, unit="spk").p_permutation == 4 / 8


def test_error_rate_under_no_difference():
    """Two systems of the same skill: about 5 % of the tests say p < 0.05."""
    rng = np.random.default_rng(4)
    found = np.zeros(2)
    for _ in range(300):
        ref = rng.integers(3, size=60)
        a, b = (predictions(ref, system(rng, ref, 0.6, num_classes=3)) for _ in range(2))
        test = compare(a, b, resamples=300, permutations=300)
        found += np.array([test.p_permutation, test.p_bootstrap]) < 0.05
    assert 0.01 <= found[0] / 300 <= 0.08
    assert 0.01 <= found[1] / 300 <= 0.10


def test_random_swaps_agree_with_all_of_them(monkeypatch):
    rng = np.random.default_rng(6)
    ref = rng.integers(2, size=12)
    a = predictions(ref, system(rng, ref, 0.9, num_classes=2))
    b = predictions(ref, system(rng, ref, 0.3, num_classes=2))
    exact = compare(a, b, permutations=2**12).p_permutation
    assert compare(a, b, permutations=4000).p_permutation == pytest.approx(exact, abs=0.03)
    monkeypatch.setattr(significance, "_CHUNK", 50)  # several chunks: the same test
    assert compare(a, b, permutations=4000).p_permutation == pytest.approx(exact, abs=0.03)


def test_refusals():
    a = predictions([0, 1], [0, 1])
    with pytest.raises(ValueError, match="same utterances"):
        compare(a, predictions([1, 0], [0, 1]))
    with pytest.raises(ValueError, match="not for 'macro_f1'"):
        compare(a, a, "macro_f1")
    with pytest.raises(ValueError, match="expected 'utt' or 'spk'"):
        intervals(a, "session")


def test_holm_by_hand():
    # sorted 0.01*3, 0.03*2, 0.04*1 -> 0.03, 0.06, max(0.06, 0.04)
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_mean_over_corpora_gives_each_the_same_say():
    """A corpus of 20 with a lead of 1/2 and one of 200 with none: 1/4, as likely as the first's."""
    ref, large_ref = np.repeat([0, 1], 10), np.repeat([0, 1], 100)
    half_right = np.where(np.arange(20) % 2, ref, 1 - ref)
    small = (predictions(ref, ref), predictions(ref, half_right))
    large = predictions(large_ref, large_ref)
    alone, both = compare(*small), compare_over([small, (large, large)])
    assert (alone.difference, both.difference) == (0.5, 0.25)
    assert both.a == 1.0 and both.b == 0.75
    assert both.interval == pytest.approx([x / 2 for x in alone.interval], abs=0.02)
    assert both.p_permutation == pytest.approx(alone.p_permutation, abs=0.002)
    twice = compare_over([small, small])
    assert twice.difference == 0.5 and twice.p_permutation <= alone.p_permutation
