# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Every piece of work is in one shard of N."""

import pytest

from sertl.errors import SertlError
from sertl.shard import Shard


@pytest.mark.parametrize("count", [1, 2, 7])
def test_shards_are_a_partition(count):
    shards = [Shard.parse(f"{i}/{count}") for i in range(1, count + 1)]
    keys = [f"utt{n}" for n in range(200)]
    owners = [[s.number for s in shards if s.has(key)] for key in keys]
    assert all(len(found) == 1 for found in owners)
    assert min(owners.count([s.number]) for s in shards) > 100 / count
    assert [[s.number for s in shards if s.takes(n)] for n in range(3)] == [
        [n % count + 1] for n in range(3)
    ]


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/2/3", "-1/2", "1 / 2"])
def test_what_is_no_shard(text):
    with pytest.raises(SertlError, match="expected i/N"):
        Shard.parse(text)


def test_none():
    assert Shard.parse("") is None and str(Shard.parse("3/16")) == "3/16"
