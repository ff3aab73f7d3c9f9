# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Places of arrays as numbers: what went in comes out, also what is no place."""

import pytest

from sertl.data.places import Places

SCP = {
    "a": "dump/layer1/feats.1.ark:17",
    "b": "dump/layer1/feats.1.ark:123456789012345",
    "c": "/else/where:with colon/x.ark:0",
    "d": "no offset",
    "e": "x.ark:007",
    "f": "x.ark:-3",
    "g": "x.ark:٣",  # a digit, and not one of ours
    "h": "x.ark:" + "9" * 19,
}


def test_it_is_the_scp():
    places = Places(SCP)
    assert dict(places) == SCP and list(places) == list(SCP) and len(places) == len(SCP)
    with pytest.raises(KeyError):
        places["none"]


def test_layers_share_their_ids_where_these_are_the_same():
    first, other = Places(SCP), {utt: spec.replace("layer1", "layer2") for utt, spec in SCP.items()}
    second, fewer = Places(other, first), Places({"a": "x:1"}, first)
    assert second._rows is first._rows and dict(second) == other
    assert dict(fewer) == {"a": "x:1"}
    renamed = {utt.replace("b", "bb"): spec for utt, spec in SCP.items()}
    assert dict(Places(renamed, first)) == renamed


def test_order_of_the_arks():
    scp = {"a": "x.ark:90", "b": "y.ark:5", "c": "x.ark:7", "d": "x.ark:800"}
    assert Places(scp).in_order("abcd") == ["c", "a", "d", "b"]
    assert Places(scp).in_order("da") == ["a", "d"] and Places(scp).in_order([]) == []
