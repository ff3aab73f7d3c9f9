# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Order is kept, nothing is lost, and no batch is larger than allowed but by a single item."""

from hypothesis import given
from hypothesis import strategies as st

from sertl.use.padded_batches import padded_batches


@given(st.lists(st.integers(0, 50)), st.integers(1, 100))
def test_any_items(items, most):
    batches = list(padded_batches(items, float, most))
    assert [item for batch in batches for item in batch] == items
    for batch in batches:
        assert len(batch) == 1 or max(batch) * len(batch) <= most


def test_by_hand():
    assert list(padded_batches([1, 2, 1, 0.5], float, 4)) == [[1, 2], [1, 0.5]]
    assert list(padded_batches([], float, 4)) == []
