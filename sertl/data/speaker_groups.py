# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Speakers dealt into groups, each of which is held out of a training once."""

from collections.abc import Collection, Iterable
from dataclasses import replace

import numpy as np

from sertl.data.datadir import DataDir, Utterance
from sertl.errors import SertlError


def speaker_groups(utts: Iterable[Utterance], count: int, seed: int) -> list[list[str]]:
    """The speakers of a set in so many groups, whose sizes differ by one at most.

    Args:
        utts: Of the set.
        count: Of groups.
        seed: Of the deal, which depends on nothing else.

    Raises:
        SertlError: If there are fewer speakers than groups.
    """
    speakers = sorted({u.spk for u in utts})
    if not 1 <= count <= len(speakers):
        raise SertlError(f"{len(speakers)} training speakers cannot make {count} groups")
    order = np.random.default_rng(seed).permutation(len(speakers))
    return [[speakers[i] for i in part] for part in np.array_split(order, count)]


def divided(data: DataDir, speakers: Collection[str]) -> tuple[DataDir, DataDir]:
    """The utterances of all but these speakers, and those of these."""
    rest, own = (
        replace(data, utts={utt: u for utt, u in data.utts.items() if (u.spk in speakers) is own})
        for own in (False, True)
    )
    return rest, own
