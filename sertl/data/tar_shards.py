# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Corpora as tar shards in WebDataset's layout: written from a data directory, read as a table.

A sample is two members of one stem: `<utt>.wav` (or as its recording is called), the bytes of the
recording as they are, and `<utt>.json`, what is known of it.
"""

import csv
import io
import json
import logging
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path, PurePath

from sertl import fingerprint
from sertl.atomic import replacing
from sertl.data.audio import audio_hash
from sertl.data.datadir import DataDir, Utterance
from sertl.data.named_files import AUDIO
from sertl.data.tar_members import Member, member_of, open_recording, recording_stat
from sertl.errors import SertlError

logger = logging.getLogger(__name__)
NAMES = {"wav": "wav", "utt": "utt", "spk": "spk", "emo": "emotion"}  # first columns of a table
OTHER_AUDIO = (".ogg", ".opus", ".aiff", ".aif", ".au", ".mp3", ".w64", ".caf")
TEXTS = {".txt": "text", ".cls": "emo"}  # of other writers
VAD = ("valence", "arousal", "dominance")
SUFFIXES = (*AUDIO, *OTHER_AUDIO)


def write_shards(data: DataDir, out: Path, max_bytes: int, redo: bool = False) -> list[Path]:
    """Write a data directory's recordings and what is known of them to tar files.

    Args:
        data: The data directory.
        out: Folder of `000000.tar` …
        max_bytes: Of audio in a shard; a longer recording has one of its own.
        redo: Write them again though they are there.

    Returns:
        The shards.

    Raises:
        SertlError: Recordings that cannot be read; another data directory's shards in out.
    """
    inputs = {"audio": audio_hash(data.utts.values()), "bytes": max_bytes}
    inputs["known"] = fingerprint.ids_hash(_words(u) for u in data.utts.values())
    if fingerprint.begin(out, inputs, redo) is fingerprint.Progress.DONE:
        logger.info("%s: made before from the same inputs, skipped", out)
        return sorted(out.glob("*.tar"))
    made = []
    for utts in _groups(data.utts.values(), max_bytes):
        made.append(out / f"{len(made):06d}.tar")
        with replacing(made[-1]) as temporary, tarfile.open(temporary, "w") as tar:
            for utt in utts:
                _add(tar, utt)
        logger.info("%s: %d utterances", made[-1], len(utts))
    fingerprint.finish(out)
    return made


def _groups(utts: Iterable[Utterance], max_bytes: int) -> Iterator[list[Utterance]]:
    group: list[Utterance] = []
    held = 0
    for utt in utts:
        size, _ = recording_stat(utt.wav)
        if group and held + size > max_bytes:
            yield group
            group, held = [], 0
        group.append(utt)
        held += size
    if group:
        yield group


def _add(tar: tarfile.TarFile, utt: Utterance) -> None:
    """A sample; the same bytes whoever writes it, and when."""
    if "." in utt.utt or "/" in utt.utt:
        raise SertlError(f"utterance {utt.utt}: WebDataset ends a sample's name at its first dot")
    with open_recording(utt.wav) as stream:
        audio = stream.read()
    for suffix, content in ((_suffix(utt, audio), audio), (".json", _words(utt).encode())):
        head = tarfile.TarInfo(utt.utt + suffix)
        head.size = len(content)
        tar.addfile(head, io.BytesIO(content))


def _words(utt: Utterance) -> str:
    known = {k: v for k, v in asdict(utt).items() if v is not None and k not in ("wav", "own")}
    return json.dumps(known | dict(utt.own), sort_keys=True, ensure_ascii=False)


def _suffix(utt: Utterance, audio: bytes) -> str:
    if member_of(utt.wav) is None and PurePath(utt.wav).suffix.lower() in SUFFIXES:
        return PurePath(utt.wav).suffix.lower()
    kinds = {b"fLaC": ".flac", b"OggS": ".ogg", b"FORM": ".aiff"}
    return kinds.get(audio[:4], ".wav")


def read_shards(paths: Iterable[Path]) -> Iterator[dict[str, str]]:
    """What shards hold: of each sample what its JSON says, and where its recording is.

    Args:
        paths: Tar files, not compressed.

    Raises:
        SertlError: What is no tar file; samples without a recording, or with two.
    """
    for path in paths:
        try:
            with tarfile.open(path, "r:") as tar:
                yield from _samples(path, tar)
        except (OSError, tarfile.TarError) as error:
            raise SertlError(f"{path}: no tar file, compressed or cut short ({error})") from error


def _samples(path: Path, tar: tarfile.TarFile) -> Iterator[dict[str, str]]:
    """Members of one stem stand together, as WebDataset has them."""
    stem, known, places = "", {}, []
    for head in tar:
        if not head.isreg():
            continue
        name = PurePath(head.name)
        first, _, rest = name.name.partition(".")
        own, suffix = str(name.parent / first), f".{rest.lower()}"
        if own != stem:
            yield from _sample(path, stem, known, places)
            stem, known, places = own, {}, []
        if suffix in SUFFIXES:
            places.append(Member(str(path.absolute()), head.offset_data, head.size))
        elif suffix == ".json":
            known |= _known(path, head, tar)
        elif suffix in TEXTS:
            text = tar.extractfile(head).read().decode("utf-8", "replace").strip()
            known.setdefault(TEXTS[suffix], text)
    yield from _sample(path, stem, known, places)


def _known(path: Path, head: tarfile.TarInfo, tar: tarfile.TarFile) -> dict:
    try:
        found = json.loads(tar.extractfile(head).read())
    except (ValueError, RecursionError) as error:
        raise SertlError(f"{path}: {head.name} is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise SertlError(f"{path}: {head.name}: expected an object with names and values")
    return found


def _sample(path: Path, stem: str, known: dict, places: list[Member]) -> Iterator[dict[str, str]]:
    if not stem:
        return
    if len(places) != 1:
        raise SertlError(f"{path}: sample {stem} has {len(places)} recordings, expected one")
    row = {"utt": PurePath(stem).name, "wav": str(places[0])}
    for name, value in known.items():
        if name == "vad":
            if not isinstance(value, list) or len(value) != len(VAD):
                raise SertlError(f"{path}: sample {stem}: vad is {value!r}, expected three numbers")
            row |= dict(zip(VAD, map(str, value), strict=True))
        elif name == "part":
            row["split"] = str(value)
        elif not isinstance(value, dict | list) and value is not None:
            row[NAMES.get(name, name)] = " ".join(str(value).split())
    yield row


def write_csv(rows: Iterable[dict[str, str]], out: Path) -> int:
    """A CSV of samples for egs/table, a column for each name that any of them has.

    Returns:
        Number of samples.

    Raises:
        SertlError: If there is none.
    """
    rows = list(rows)
    if not rows:
        raise SertlError("the shards hold no samples")
    columns = dict.fromkeys([*NAMES.values(), *(name for row in rows for name in row)])
    used = [name for name in columns if any(name in row for row in rows)]
    with replacing(out) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, used, restval="")
        table.writeheader()
        table.writerows(rows)
    return len(rows)
