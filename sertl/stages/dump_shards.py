# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A dump by several machines on a shared disk: each writes chunks of its own, and a manifest last.

Which chunks there are depends on the utterances alone, so that any number of shards, one after
another or at once, gives the files of a single run.

    dump/<upstream>/shards/3of16.json       what this shard wrote; gone when all is joined
"""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sertl import fingerprint
from sertl.atomic import write_json
from sertl.errors import SertlError
from sertl.lock import alone, held
from sertl.run_file import read_run_json
from sertl.schema.run_records import ShardFile
from sertl.shard import Shard
from sertl.stages.dump_chunk import Chunk, Job, read_record

logger = logging.getLogger(__name__)

FOLDER = "shards"
NAMED = re.compile(r"\.?([0-9]+)of([0-9]+)\.(?:json|lock)")


@contextmanager
def claimed(
    job: Job, inputs: dict, redo: bool, shard: Shard | None
) -> Iterator[fingerprint.Progress]:
    """Hold the dump's folder, a shard beside other shards, and say how far it came.

    Raises:
        SertlError: Other inputs; redo by a shard; the same shard, or shards of another number, at
            work.
    """
    if shard is None:
        with alone(job.out, wait=True):
            yield fingerprint.begin(job.out, inputs, redo)
        return
    if redo:
        raise SertlError(f"--redo --shard {shard}: delete {job.out} instead, before any shard")
    with alone(job.out, wait=True, shared=True), alone(_folder(job) / shard.name, wait=False):
        for _, other in _named(job, "lock"):
            if other.count != shard.count and held(_folder(job) / other.name):
                raise SertlError(
                    f"{job.out}: shard {other} is at work; shards of one number at a time"
                )
        with alone(_folder(job) / "begin", wait=True):
            found = fingerprint.begin(job.out, inputs)
        yield found


def write_manifest(job: Job, shard: Shard, chunks: Sequence[Chunk]) -> None:
    """Say that a shard's chunks are whole: which utterances they hold."""
    record = {"shard": str(shard), **_content(chunks)}
    write_json(_folder(job) / f"{shard.name}.json", record)
    logger.info("%s: shard %s is there, %d utterances", job.out, shard, record["utts"])


def check_manifests(job: Job, chunks: Sequence[Chunk]) -> None:
    """Whether all chunks are there, and are those that the shards say they wrote.

    Args:
        job: The dump.
        chunks: All of it.

    Raises:
        SertlError: Naming the shards that have not finished, or that wrote something else.
    """
    found: dict[int, set[int]] = {}
    for path, shard in _named(job, "json"):
        own = [chunk for chunk in chunks if shard.takes(chunk.number)]
        record = read_run_json(path, ShardFile, f"run shard {shard} again")
        if {k: v for k, v in record.items() if k != "shard"} != _content(own):
            raise SertlError(f"{path} is of other utterances; run shard {shard} again")
        found.setdefault(shard.count, set()).add(shard.number)
    todo = [chunk for chunk in chunks if read_record(job, chunk) is None]
    if not todo:
        return
    words = []
    for count, numbers in sorted(found.items()):
        lacking = [Shard(i, count) for i in range(1, count + 1) if i not in numbers]
        lacking = [s for s in lacking if any(s.takes(chunk.number) for chunk in todo)]
        words.append(
            f"of {count} shards: {', '.join(map(str, lacking)) or 'parts of finished ones'}"
        )
    utts = [u.utt for chunk in todo for u in chunk.utts]
    raise SertlError(
        f"{job.out} lacks {len(todo)} of {len(chunks)} chunks, {len(utts)} utterances, e.g. "
        f"{utts[0]}; not finished: {'; '.join(words) or 'no shard has finished'}"
    )


def _content(chunks: Sequence[Chunk]) -> dict:
    ids = [u.utt for chunk in chunks for u in chunk.utts]
    return {"chunks": len(chunks), "utts": len(ids), "ids": fingerprint.ids_hash(ids)}


def _folder(job: Job) -> Path:
    return job.out / FOLDER


def _named(job: Job, kind: str) -> Iterator[tuple[Path, Shard]]:
    for path in sorted(_folder(job).glob(f"*.{kind}")):  # names with a dot first, too
        if found := NAMED.fullmatch(path.name):
            yield path, Shard(int(found[1]), int(found[2]))
