# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Metrics: worked by hand, and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.metrics import confusion_matrix as sklearn_confusion

from sertl.score import metrics

# Rows are references. Recalls 3/4, 1/2, none (no reference); 1 of class 0 and 1 of class 1 are
# taken for class 2.
BY_HAND = np.array([[3, 0, 1], [0, 1, 1], [0, 0, 0]])


def test_ua_averages_the_classes_that_occur():
    assert metrics.ua(BY_HAND) == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert metrics.wa(BY_HAND) == pytest.approx(4 / 6)


def test_f1_by_hand():
    # F1 = 2 TP / (references + predictions): class 0 2*3/(4+3), class 1 2*1/(2+1), class 2 0/(0+2)
    assert metrics.f1_scores(BY_HAND).tolist() == pytest.approx([6 / 7, 2 / 3, 0.0])
    assert metrics.macro_f1(BY_HAND) == pytest.approx((6 / 7 + 2 / 3) / 2)
    assert metrics.weighted_f1(BY_HAND) == pytest.approx((4 * 6 / 7 + 2 * 2 / 3) / 6)


def test_balanced_loss_by_hand():
    """Class 0: -ln 1/2 twice; class 1: -ln 1/4; mean (ln 2 + ln 4) / 2 = 1.5 ln 2."""
    logs = np.log([[0.5, 0.5], [0.5, 0.5], [0.75, 0.25]])
    expected = 1.5 * np.log(2)
    assert metrics.balanced_loss(logs, np.array([0, 0, 1])) == pytest.approx(expected)
    never = np.array([[0.0, -99.0]])  # one utterance alone does not decide
    assert metrics.balanced_loss(never, np.array([1])) == pytest.approx(9.2)


def test_class_scores_names_and_none():
    scores = metrics.class_scores(BY_HAND, ["ang", "hap", "neu"])
    assert scores["n"] == 6
    assert scores["classes_scored"] == 2
    assert scores["recall"] == {"ang": 0.75, "hap": 0.5, "neu": None}
    assert scores["support"] == {"ang": 4, "hap": 2, "neu": 0}
    assert scores["confusion"] == BY_HAND.tolist()


def test_against_scikit_learn():
    rng = np.random.default_rng(3)
    for num_classes in (2, 4, 7):
        ref = rng.integers(num_classes, size=300)
        hyp = np.where(rng.random(300) < 0.6, ref, rng.integers(num_classes, size=300))
        confusion = metrics.confusion_matrix(ref, hyp, num_classes)
        assert np.array_equal(confusion, sklearn_confusion(ref, hyp))
        assert metrics.ua(confusion) == pytest.approx(balanced_accuracy_score(ref, hyp))
        assert metrics.wa(confusion) == pytest.approx((ref == hyp).mean())
        for name in ("macro", "weighted"):
            ours = metrics.CLASS_METRICS[f"{name}_f1"](confusion)
            assert ours == pytest.approx(f1_score(ref, hyp, average=name))


def test_f1_with_an_absent_class_against_scikit_learn():
    ref, hyp = [0, 0, 0, 1, 1], [0, 2, 0, 1, 2]  # class 2 is predicted, but never the reference
    confusion = metrics.confusion_matrix(ref, hyp, 4)
    assert metrics.macro_f1(confusion) == pytest.approx(
        f1_score(ref, hyp, labels=[0, 1], average="macro")
    )


def test_one_class_one_utterance_and_nothing():
    assert metrics.ua(np.array([[5]])) == 1.0
    assert metrics.ua(metrics.confusion_matrix([2], [1], 4)) == 0.0
    assert np.isnan(metrics.ua(np.zeros((3, 3), int)))
    assert metrics.class_scores(np.zeros((2, 2), int), ["a", "b"])["ua"] is None


def test_a_stack_of_matrices_is_scored_one_by_one():
    stack = np.stack([BY_HAND, BY_HAND.T, 2 * BY_HAND])
    for metric in metrics.CLASS_METRICS.values():
        assert metric(stack).tolist() == pytest.approx([float(metric(one)) for one in stack])


@pytest.mark.parametrize(
    ("ref", "hyp", "message"),
    [
        ([0, 1], [0], "must be 1-D of one length"),
        ([0, 4], [0, 1], "ref holds class index 4, expected 0..3"),
        ([0, 1], [0, -1], "hyp holds class index -1, expected 0..3"),
    ],
)
def test_confusion_refuses(ref, hyp, message):
    with pytest.raises(ValueError, match=message):
        metrics.confusion_matrix(ref, hyp, 4)


def test_ccc_by_hand():
    # means 2 and 3, both variances and the covariance 2/3: (4/3) / (2/3 + 2/3 + 1) = 4/7
    assert metrics.ccc(np.array([1, 2, 3]), np.array([2, 3, 4])) == pytest.approx(4 / 7)
    # two values: means 1/2 and 3/2, variances 1/4 and 1/4, covariance -1/4: (-1/2) / (1/2 + 1)
    assert metrics.ccc(np.array([0, 1]), np.array([2, 1])) == pytest.approx(-1 / 3)


def test_ccc_properties():
    rng = np.random.default_rng(0)
    pred, ref = rng.normal(size=50), rng.normal(size=50)
    assert metrics.ccc(ref, ref) == pytest.approx(1)
    assert metrics.ccc(3 * pred + 2, 3 * ref + 2) == pytest.approx(metrics.ccc(pred, ref))
    assert metrics.ccc(np.full(50, 0.1), ref) == pytest.approx(0)  # constant prediction
    assert metrics.ccc(np.full(5, 1.0), np.full(5, 2.0)) == 0  # two different constants


def test_ccc_refuses():
    with pytest.raises(ValueError, match="at least 2 values, got 1"):
        metrics.ccc(np.array([1.0]), np.array([2.0]))
    with pytest.raises(ValueError, match="both sequences are the constant 0.1"):
        metrics.ccc(np.full(3, 0.1), np.full(3, 0.1))
    with pytest.raises(ValueError, match="1-D of one length"):
        metrics.ccc(np.zeros((2, 3)), np.zeros((2, 3)))


def test_rmse_by_hand():
    assert metrics.rmse(np.array([1, 2]), np.array([4, 6])) == pytest.approx((25 / 2) ** 0.5)
    with pytest.raises(ValueError, match="nothing"):
        metrics.rmse(np.array([]), np.array([]))


def test_wer_by_hand():
    refs = ["I don't know.", "Well, yes [LAUGHTER]"]  # 3 + 2 words
    hyps = ["i don't no", "yes yes yes"]  # 1 substitution; WELL YES -> YES YES YES: 1 sub, 1 ins
    counts = metrics.word_errors(refs, hyps)
    assert counts["words"] == 5
    assert (counts["sub"], counts["del"], counts["ins"]) == (2, 0, 1)
    assert counts["wer"] == pytest.approx(3 / 5)


def test_cer_by_hand():
    counts = metrics.word_errors(["ab cd"], ["abcd"])
    assert (counts["chars"], counts["char_errors"]) == (5, 1)  # the space is a character
    assert counts["cer"] == pytest.approx(1 / 5)


def test_wer_is_pooled_and_counts_insertions_into_silence():
    # a reference that is empty after normalisation adds two insertions and no words
    counts = metrics.word_errors(["one two", "[BREATHING]"], ["", "so what"])
    assert (counts["words"], counts["del"], counts["ins"]) == (2, 2, 2)
    assert counts["wer"] == pytest.approx(4 / 2)
    assert metrics.word_errors(["..."], [""])["wer"] is None


def test_wer_of_added_counts_is_that_of_all_sentences():
    refs, hyps = ["a b c", "d e", "f"], ["a x c", "d", "f g h"]
    parts = [metrics.word_errors([r], [h]) for r, h in zip(refs, hyps, strict=True)]
    keys = [key for key in parts[0] if key not in ("wer", "cer")]
    added = metrics.error_rates({key: sum(part[key] for part in parts) for key in keys})
    assert added == metrics.word_errors(refs, hyps)
