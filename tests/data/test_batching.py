# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Batches: every utterance once, within limits, the same after a resume, balanced when asked."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from sertl.data.batching import cut_by_duration, epoch_batches, ordered_batches

LENGTHS = st.lists(st.floats(0.1, 30), min_size=1, max_size=60)


@settings(max_examples=50, deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(1, 5), st.integers(0, 3))
def test_an_epoch_holds_every_utterance_once(lengths, size, bucket, epoch):
    batches = epoch_batches(lengths, size, bucket, seed=1, epoch=epoch)
    assert sorted(i for b in batches for i in b) == list(range(len(lengths)))
    assert max(len(b) for b in batches) <= size
    assert batches == epoch_batches(lengths, size, bucket, seed=1, epoch=epoch)


@settings(max_examples=50, deadline=None)
@given(LENGTHS, st.floats(1, 60))
def test_pieces_stay_within_the_limit_unless_one_utterance_exceeds_it(lengths, limit):
    pieces = cut_by_duration(range(len(lengths)), lengths, limit)
    assert sorted(i for p in pieces for i in p) == list(range(len(lengths)))
    for piece in pieces:
        assert len(piece) == 1 or len(piece) * max(lengths[i] for i in piece) <= limit


def test_cut_by_hand():
    # sorted 1 2 3 4: 1, 2, 3 padded to 3 take 9; with 4 they would take 16 > 10
    assert cut_by_duration([0, 1, 2, 3], [4.0, 1.0, 3.0, 2.0], 10.0) == [[1, 3, 2], [0]]


def test_epochs_and_seeds_differ():
    lengths = [1.0] * 40
    orders = {str(epoch_batches(lengths, 4, 2, s, e)) for s in (1, 2) for e in (1, 2)}
    assert len(orders) == 4


def test_buckets_reduce_padding():
    lengths = [float(i % 10 + 1) for i in range(200)]

    def padded(bucket):
        batches = epoch_batches(lengths, 10, bucket, 1, 1)
        return sum(len(b) * max(lengths[i] for i in b) for b in batches)

    assert padded(8) < 0.8 * padded(1)


def test_balanced_draws_every_class_alike_and_unlabelled_never():
    classes = [0] * 900 + [1] * 90 + [-1] * 10
    batches = epoch_batches([1.0] * 1000, 50, 1, 1, 1, classes)
    drawn = Counter(classes[i] for b in batches for i in b)
    assert drawn[-1] == 0 and 400 < drawn[1] < 600


def test_a_short_last_batch_may_be_left_out():
    lengths = [1.0] * 34
    assert sorted(map(len, epoch_batches(lengths, 16, 1, 0, 1))) == [2, 16, 16]
    kept = [epoch_batches(lengths, 16, 1, 0, epoch, least=16) for epoch in (1, 2)]
    assert [[len(b) for b in batches] for batches in kept] == [[16, 16], [16, 16]]
    assert {*sum(kept[0], [])} != {*sum(kept[1], [])}  # other utterances in each epoch
    assert [len(b) for b in epoch_batches([1.0] * 5, 16, 1, 0, 1, least=16)] == [5]


def test_ordered_batches_cover_a_share():
    batches = ordered_batches(range(1, 20, 2), [float(i) for i in range(20)], 3, 1000.0)
    assert [i for b in batches for i in b] == list(range(1, 20, 2))
    assert [len(b) for b in batches] == [3, 3, 3, 1]
