# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Items in their order, as many a batch as fit when each is padded to the longest."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def padded_batches(
    items: Iterable[Item], length: Callable[[Item], float], most: float
) -> Iterator[list[Item]]:
    """Yield batches whose longest item times their number is at most `most`, or of one item."""
    batch: list[Item] = []
    longest = 0.0
    for item in items:
        now = length(item)
        if batch and max(longest, now) * (len(batch) + 1) > most:
            yield batch
            batch, longest = [], 0.0
        batch.append(item)
        longest = max(longest, now)
    if batch:
        yield batch
