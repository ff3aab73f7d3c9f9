# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Predictions of several machines joined: the lines of one run, in its order."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sertl.atomic import write_text
from sertl.errors import SertlError
from sertl.run_file import read_run_text
from sertl.shard import Shard
from sertl.use.recordings import Recording


def part_of(out: str, shard: Shard) -> str:
    """Name of a shard's file beside the whole one."""
    return f"{out}.{shard.name}"


def own_recordings(recordings: Sequence[Recording], shard: Shard) -> list[Recording]:
    """Those of a shard; all of a speaker are in the same, as models may know speakers."""
    return [one for one in recordings if shard.has(one.spk or one.utt)]


def merge(
    out: str,
    count: int,
    recordings: Sequence[Recording],
    utt_of: Callable[[str], str],
    keep_going: bool = False,
) -> None:
    """Write the whole file of N shards' files, and delete these.

    Args:
        out: Name of the whole.
        count: N.
        recordings: All of them, in the order of the lines.
        utt_of: Id that a line is of.
        keep_going: Recordings that no shard could read are left out.

    Raises:
        SertlError: Shards that have not finished; recordings of which no shard has a line.
    """
    shards = [Shard(number, count) for number in range(1, count + 1)]
    missing = [str(s) for s in shards if not Path(part_of(out, s)).is_file()]
    if missing:
        raise SertlError(f"{out}: of {count} shards these have not finished: {', '.join(missing)}")
    lines = {}
    for shard in shards:
        path = part_of(out, shard)
        for line in read_run_text(path, f"run shard {shard} again").splitlines(keepends=True):
            lines[utt_of(line)] = line
    lost = [one.utt for one in recordings if one.utt not in lines]
    odd = (not keep_going and lost) or sorted(lines.keys() - {one.utt for one in recordings})
    if odd:
        raise SertlError(
            f"{out}: the shards' lines are not those of these recordings, e.g. {odd[0]} is "
            f"{'of another run' if odd[0] in lines else 'in none'}; predict with the same inputs"
        )
    write_text(out, "".join(lines[one.utt] for one in recordings if one.utt in lines))
    for shard in shards:
        Path(part_of(out, shard)).unlink()
