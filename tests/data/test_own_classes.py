# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Heads by the names of their classes."""

import pytest

from sertl.data.own_classes import head_names, heads_of


@pytest.mark.parametrize(
    ("labels", "names", "heads"),
    [
        (["b::x", "a::x", "b::y::z"], ["b", "a"], (0, 1, 0)),
        (["x", "y"], [], None),
        (["a::x", "y"], [], None),
        ([], [], None),
    ],
)
def test_heads_come_in_the_order_of_their_first_class(labels, names, heads):
    assert (head_names(labels), heads_of(labels)) == (names, heads)
