# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Prefix: shapes, the same vectors for every utterance, refusals."""

import pytest
import torch

from sertl.peft.prefix import Prefix


def test_vectors_come_before_the_frames():
    prefix = Prefix(4, 2)
    keys, values = torch.randn(3, 5, 4), torch.randn(3, 5, 4)
    longer, more = prefix(keys, values)
    assert longer.shape == more.shape == (3, 7, 4)
    assert torch.equal(longer[:, 2:], keys) and torch.equal(more[:, 2:], values)
    for row in range(3):
        assert torch.equal(longer[row, :2], prefix.keys)
        assert torch.equal(more[row, :2], prefix.values)


def test_vectors_differ_at_the_start_and_take_the_dtype_of_the_frames():
    prefix = Prefix(4, 2)
    assert not torch.equal(prefix.keys[0], prefix.keys[1])
    keys = torch.randn(1, 5, 4, dtype=torch.bfloat16)
    assert all(t.dtype == torch.bfloat16 for t in prefix(keys, keys))


@pytest.mark.parametrize("length", [0, 1.5, "5"])
def test_length_must_be_a_positive_number(length):
    with pytest.raises(ValueError, match="length is"):
        Prefix(4, length)
