# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Speaker normalisation: shifts by hand, causality, priors, order."""

import pytest
import torch

from sertl.data.datadir import Utterance
from sertl.data.speaker_norm import (
    SpeakerNorm,
    enrolled,
    fit_speaker_norm,
    prior_weight,
    shifts,
    speaker_orders,
)

MEAN = torch.tensor([1.0])


def utts(*speakers, orders=None):
    return [
        Utterance(f"{spk}-{i:02d}", spk, "x.wav", 1.0, order=None if orders is None else orders[i])
        for i, spk in enumerate(speakers)
    ]


def test_offline_shifts_by_hand():
    """Speaker a: clips 2, 6 and 2 prior clips of mean 1: (8 + 2) / 4; b: one clip 9: 11 / 3."""
    vectors = torch.tensor([[2.0], [9.0], [6.0]])
    shift, scale = shifts(vectors, utts("a", "b", "a"), SpeakerNorm("offline", 2.0, MEAN))
    assert shift.flatten().tolist() == pytest.approx([2.5, 11 / 3, 2.5]) and scale is None


def test_online_shifts_by_hand_in_the_order_of_the_corpus():
    """Said as 6, 2, 4: (6 + 2) / 3, (8 + 2) / 4, (12 + 2) / 5."""
    vectors = torch.tensor([[2.0], [6.0], [4.0]])
    said = utts("a", "a", "a", orders=["7", "-1.5", "10"])
    shift, _ = shifts(vectors, said, SpeakerNorm("online", 2.0, MEAN))
    assert shift.flatten().tolist() == pytest.approx([10 / 4, 8 / 3, 14 / 5])


@pytest.mark.parametrize("scale", [False, True])
def test_online_knows_nothing_of_later_clips(scale):
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(12, 2, 3, generator=generator)
    said = utts(*"aab" * 4)
    norm = SpeakerNorm("online", 3.0, vectors.mean(0), vectors.std(0) if scale else None)
    before = shifts(vectors, said, norm, seed=5)
    for order in speaker_orders(said, 5):
        changed = vectors.clone()
        changed[order[2:]] += 100.0  # all that this speaker says after the second clip
        after = shifts(changed, said, norm, seed=5)
        for old, new in zip(before, after, strict=True):
            assert old is None or torch.equal(old[order[:2]], new[order[:2]])
            assert old is None or not torch.equal(old[order[2:]], new[order[2:]])


def test_a_speaker_of_one_clip_stays_near_none():
    vectors = torch.tensor([[11.0]])
    for mode in ("offline", "online"):
        shift, _ = shifts(vectors, utts("new"), SpeakerNorm(mode, 20.0, MEAN))
        assert shift.item() == pytest.approx((11 + 20) / 21)  # none would be 1, all of it 11


def test_enrolment_by_hand():
    """Known by clips 2 and 4 with a prior clip of 1: 7 / 3, for all that the speaker says."""
    vectors = torch.tensor([[2.0], [9.0], [4.0], [90.0]])
    norm = SpeakerNorm("offline", 1.0, MEAN)
    shift = enrolled(vectors, utts("a", "b", "a", "a"), norm, {"a": [0, 2]})
    assert shift.flatten().tolist() == pytest.approx([7 / 3, 1.0, 7 / 3, 7 / 3])
    bare = SpeakerNorm("offline", 0.0, MEAN)
    assert enrolled(vectors, utts(*"abaa"), bare, {}).flatten().tolist() == [1.0] * 4


def test_scales_by_hand():
    """Clips 1, 3 and 2 prior clips of variance 4: ((1 + 1) + 2 * 4) / 4 = 2.5, around their 2."""
    vectors, std = torch.tensor([[1.0], [3.0]]), torch.tensor([2.0])
    norm = SpeakerNorm("offline", 2.0, MEAN, std)
    shift, scale = shifts(vectors, utts("a", "a"), norm)
    assert shift.flatten().tolist() == pytest.approx([1.5, 1.5])
    assert scale.flatten().tolist() == pytest.approx([2.5**0.5] * 2)
    online, first = shifts(vectors, utts("a", "a", orders=["1", "2"]), SpeakerNorm(
        "online", 2.0, MEAN, std))  # fmt: skip
    assert first.flatten().tolist() == pytest.approx([(8 / 3) ** 0.5, 2.5**0.5])
    assert online.flatten().tolist() == pytest.approx([1.0, 1.5])


def test_the_prior_is_the_ratio_of_variances():
    """Speakers vary by 4, clips within by 12: a speaker's mean is worth 3 clips of prior."""
    generator = torch.Generator().manual_seed(1)
    means = 2.0 * torch.randn(400, 1, generator=generator)
    clips = means.repeat_interleave(10, 0) + 12**0.5 * torch.randn(4000, 1, generator=generator)
    spks = [f"s{i // 10}" for i in range(4000)]
    assert prior_weight(clips, spks) == pytest.approx(3.0, rel=0.15)
    assert prior_weight(torch.randn(40, 3, generator=generator), ["s"] * 40) == 100.0
    alike = torch.randn(400, 5, generator=generator)  # speakers do not differ: hardly any shift
    assert prior_weight(alike, [f"s{i % 20}" for i in range(400)]) > 20


def test_orders_are_drawn_by_the_seed_unless_the_corpus_says_them():
    said = utts(*"abab")
    assert [o.tolist() for o in speaker_orders(utts(*"aa", orders=["2", "1"]), 0)] == [[1, 0]]
    drawn = {tuple(map(tuple, (o.tolist() for o in speaker_orders(said, s)))) for s in range(20)}
    assert len(drawn) == 4 and all({*a} == {0, 2} and {*b} == {1, 3} for a, b in drawn)
    again = speaker_orders(said, 3)
    assert all(torch.equal(x, y) for x, y in zip(again, speaker_orders(said, 3), strict=True))


def test_settings():
    good = {"mode": "online", "prior": None, "scale": True}
    vectors = torch.randn(8, 2)
    assert fit_speaker_norm(vectors, list("abababab"), {**good, "mode": "none"}) is None
    norm = fit_speaker_norm(vectors, list("abababab"), {**good, "prior": 4})
    assert norm.weight == 4.0 and norm.std.shape == (2,)
    assert torch.allclose(norm.mean, vectors.mean(0))
