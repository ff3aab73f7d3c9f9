# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Every audio file of a corpus decoded once, here or by several machines on a shared disk.

<out>.audio/3of16.jsonl     what a shard found; a file that changed since is looked at again
"""

import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from sertl.atomic import write_text
from sertl.data.audio import AudioFacts, inspect_audio
from sertl.data.datadir import Utterance
from sertl.data.tar_members import recording_stat
from sertl.run_file import parse_run_json, read_run_text
from sertl.schema.run_records import AudioFactsLine
from sertl.shard import Shard

logger = logging.getLogger(__name__)

LOG_EVERY_SEC = 10
Stamp = tuple[int, int]  # bytes and nanoseconds of a file


def folder_of(out: Path) -> Path:
    """Where shards leave what they found of a data directory's audio."""
    return out.with_name(f"{out.name}.audio")


def check_shard(utts: Sequence[Utterance], out: Path, shard: Shard, nj: int) -> None:
    """Look at a shard's files, and leave what was found for the run that joins all shards.

    Args:
        utts: All of the corpus.
        out: The data directory that will be made.
        shard: Whose utterances to look at.
        nj: Processes.
    """
    own = [u for u in utts if shard.has(u.utt)]
    lines = []
    for utt, facts in zip(own, _inspect([u.wav for u in own], nj), strict=True):
        stamp = stamp_of(utt.wav)
        if stamp is not None:
            about = {"wav": utt.wav, "bytes": stamp[0], "mtime_ns": stamp[1]}
            lines.append(json.dumps({**about, **asdict(facts)}) + "\n")
    path = folder_of(out) / f"{shard.name}.jsonl"
    write_text(path, "".join(lines))
    logger.info("%s: audio of shard %s, %d of %d utterances", path, shard, len(own), len(utts))


def audio_facts(utts: Sequence[Utterance], out: Path, nj: int) -> list[AudioFacts]:
    """What is known of every utterance's file; those that no shard has seen are looked at here."""
    known = dict(_known(folder_of(out)))
    left = [u.wav for u in utts if u.wav not in known]
    if known:
        logger.info("audio: %d files were checked by shards, %d are left", len(known), len(left))
    found = dict(zip(left, _inspect(left, nj), strict=True))
    return [known.get(u.wav) or found[u.wav] for u in utts]


def _known(folder: Path) -> Iterator[tuple[str, AudioFacts]]:
    """Files that shards have seen and that are as they were."""
    for path in sorted(folder.glob("*of*.jsonl")):
        remedy = "delete it, and run its shard again"
        for number, text in enumerate(read_run_text(path, remedy).splitlines(), start=1):
            line = parse_run_json(text, AudioFactsLine, f"{path}:{number}", remedy)
            wav, stamp = line.pop("wav"), (line.pop("bytes"), line.pop("mtime_ns"))
            if stamp_of(wav) == stamp:
                yield wav, AudioFacts(**line)


def stamp_of(path: str) -> Stamp | None:
    """By which a changed file is known; None if there is none."""
    try:
        return recording_stat(path)
    except OSError:
        return None


def _inspect(wavs: Sequence[str], nj: int) -> Iterator[AudioFacts]:
    """Inspect files in nj processes, with progress."""
    is_terminal = sys.stderr.isatty()
    start = logged = time.monotonic()
    with ExitStack() as stack:
        results: Iterable[AudioFacts] = map(inspect_audio, wavs)
        if nj > 1:
            pool = stack.enter_context(ProcessPoolExecutor(nj))
            results = pool.map(inspect_audio, wavs, chunksize=16)
        bar = tqdm(results, "checking audio", len(wavs), disable=not is_terminal, unit="file")
        for done, fact in enumerate(bar, start=1):
            yield fact
            now = time.monotonic()
            if not is_terminal and now - logged > LOG_EVERY_SEC:
                rate, logged = done / (now - start), now
                eta = (len(wavs) - done) / rate
                logger.info(
                    "audio: %d of %d, %.0f files/s, %.0f s left", done, len(wavs), rate, eta
                )
