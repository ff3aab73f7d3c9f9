# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Kaldi data directories with emotion labels: read and write. What they hold: data/fields.py."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sertl.atomic import write_text
from sertl.data.fields import FIELDS, RESERVED, SPEAKER, UNKNOWN, Field, field_of
from sertl.data.table import bad_key, listing, read_table, write_table
from sertl.data.validate import EXTRA, REQUIRED, Scan, scan_data_dir
from sertl.errors import SertlError
from sertl.fingerprint import FILE as FINGERPRINT

__all__ = ["DataDir", "Utterance", "read_data_dir", "read_table", "write_data_dir", "write_table"]


NONE_OF_ITS_OWN: Mapping[str, str] = {}  # one for millions of utterances


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance of a corpus; what is unknown is None.

    Attributes:
        utt: Id, "<speaker>-<id in the corpus>".
        spk: Speaker id.
        wav: Path of the audio file.
        dur_sec: Duration in seconds.
        emo: Emotion label.
        gender: 'm' or 'f'.
        style: 'scripted', 'improvised', 'natural' or 'acted'.
        text: Words.
        vad: Valence, arousal, dominance in the corpus's own scale.
        session: What a fold leaves out, where that is not the speaker.
        part: 'train', 'dev' or 'test' of the corpus's own split.
        order: A number: when it was said, compared with the speaker's others.
        own: What columns of the corpus's own say (`utt2<name>`), by name.
        votes: How many raters said each emotion label; of a data directory, each class.
    """

    utt: str
    spk: str
    wav: str
    dur_sec: float
    emo: str | None = None
    gender: str | None = None
    style: str | None = None
    text: str | None = None
    vad: tuple[float, float, float] | None = None
    session: str | None = None
    part: str | None = None
    order: str | None = None
    own: Mapping[str, str] = field(default_factory=lambda: NONE_OF_ITS_OWN, hash=False)
    votes: Mapping[str, float] | None = field(default=None, hash=False)

    def value(self, name: str) -> object:
        """What is known of a field of data/fields.py; None if nothing is."""
        return getattr(self, name) if name in _ATTRIBUTES else self.own.get(name)


_ATTRIBUTES = {SPEAKER.name, *FIELDS}


@dataclass
class DataDir:
    """A data directory in memory.

    Attributes:
        path: Where it was read from.
        utts: Utterances by id, in C order.
        labels: Classes; the place in the list is the label index. Empty if unlabelled.
        vad_range: (lowest, highest) of the scale of `vad`.
    """

    path: Path
    utts: dict[str, Utterance]
    labels: list[str]
    vad_range: tuple[float, float] | None


def read_data_dir(path: str | os.PathLike) -> DataDir:
    """Read and validate a data directory.

    Raises:
        SertlError: Listing every problem with file and line.
    """
    scan = scan_data_dir(path)
    if scan.problems:
        raise SertlError(listing(f"{path} is not a valid data directory", scan.problems))
    return DataDir(scan.path, _utterances(scan), scan.labels, scan.vad_range)


def _utterances(scan: Scan) -> dict[str, Utterance]:
    utts = {}
    for utt, wav in scan.tables["wav.scp"].items():
        spk = scan.tables["utt2spk"][utt]
        known: dict[str, object] = {}
        for one in scan.fields:
            text = scan.tables[one.file][spk if one.of_speaker else utt]
            if text != UNKNOWN:
                known[one.name] = _read(one, text, scan.labels)
        own = {name: known.pop(name) for name in list(known) if name not in FIELDS}
        dur_sec = float(scan.tables["utt2dur"][utt])
        utts[utt] = Utterance(utt, spk, wav, dur_sec, **known, own=own or NONE_OF_ITS_OWN)
    return utts


def _read(one: Field, text: str, labels: list[str]) -> object:
    """A known value from its file."""
    if one.kind == "vad":
        return tuple(float(x) for x in text.split())
    if one.kind == "votes":
        return dict(zip(labels, map(float, text.split()), strict=True))
    return text


def write_data_dir(
    path: str | os.PathLike,
    utts: Iterable[Utterance],
    labels: Iterable[str],
    vad_range: tuple[float, float] | None = None,
) -> None:
    """Write a data directory: whole or not at all, replacing an older one.

    Blanks inside `text` are collapsed; an empty text counts as unknown.

    Args:
        path: Directory to write.
        utts: Utterances in any order.
        labels: Classes in index order; empty for unlabelled data.
        vad_range: Needed if an utterance has `vad`.

    Raises:
        SertlError: If the result would not be a valid data directory, listing every problem, or if
            path holds files that are not of a data directory and would be lost.
    """
    path = Path(path)
    utts = list(utts)
    _check_ids(path, utts)
    columns = {name for u in utts for name in u.own}
    if clashes := sorted(columns & ({*FIELDS} | RESERVED)):
        raise SertlError(f"{path}: a column of the corpus's own cannot be called {clashes[0]}")
    fields = [*FIELDS.values(), *map(field_of, sorted(columns))]
    known = {*REQUIRED, *(one.file for one in fields), *EXTRA, FINGERPRINT}
    foreign = [p.name for p in path.iterdir() if p.name not in known] if path.is_dir() else []
    if foreign:
        raise SertlError(
            f"{path} is to be replaced by a data directory, but holds other files: "
            f"{', '.join(sorted(foreign)[:5])}; choose another output folder"
        )
    new = path.with_name(f".{path.name}.new")
    old = path.with_name(f".{path.name}.old")
    for left_by_a_killed_run in (new, old):
        shutil.rmtree(left_by_a_killed_run, ignore_errors=True)
    try:
        _write_files(new, utts, fields, list(labels), vad_range)
        problems = [p.replace(f"{new}", f"{path}") for p in scan_data_dir(new).problems]
        if problems:
            raise SertlError(listing(f"{path} would not be a valid data directory", problems))
        if path.exists():
            path.rename(old)
        new.rename(path)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _check_ids(path: Path, utts: list[Utterance]) -> None:
    """Refuse ids that no table can hold, repeated ids, and a speaker of two genders."""
    problems = []
    count = Counter(u.utt for u in utts)
    for utt in (utt for utt, n in count.items() if n > 1):
        sources = ", ".join(u.wav for u in utts if u.utt == utt)
        problems.append(f"utterance id '{utt}' occurs {count[utt]} times: {sources}")
    for u in utts:
        if bad := bad_key(u.utt):
            problems.append(f"utterance id {u.utt!r} {bad} ({u.wav})")
        elif bad := bad_key(u.spk):
            problems.append(f"speaker id {u.spk!r} of '{u.utt}' {bad}")
    genders: dict[str, str | None] = {}
    for u in utts:
        if genders.setdefault(u.spk, u.gender) != u.gender:
            problems.append(
                f"speaker '{u.spk}' has gender {genders[u.spk]!r} and, in '{u.utt}', {u.gender!r}"
            )
    if problems:
        raise SertlError(listing(f"{path} cannot be written", problems))


def _write_files(
    path: Path,
    utts: list[Utterance],
    fields: list[Field],
    labels: list[str],
    vad_range: tuple[float, float] | None,
) -> None:
    utts = sorted(utts, key=lambda u: u.utt)
    spk2utt: dict[str, list[str]] = {}
    for u in utts:
        spk2utt.setdefault(u.spk, []).append(u.utt)
    path.mkdir(parents=True)
    write_table(path / "wav.scp", {u.utt: str(u.wav) or UNKNOWN for u in utts})
    write_table(path / "utt2spk", {u.utt: u.spk for u in utts})
    write_table(path / "spk2utt", {spk: " ".join(ids) for spk, ids in spk2utt.items()})
    durs = {u.utt: f"{u.dur_sec:.6f}".rstrip("0").rstrip(".") for u in utts}
    write_table(path / "utt2dur", durs)
    for one in fields:
        column = {
            u.spk if one.of_speaker else u.utt: _written(one, u.value(one.name), labels)
            for u in utts
        }
        if any(column.values()):
            write_table(path / one.file, {key: value or UNKNOWN for key, value in column.items()})
    if labels:
        write_text(path / "labels", "".join(f"{label}\n" for label in labels))
    if vad_range is not None:
        write_text(path / "vad_range", f"{vad_range[0]:g} {vad_range[1]:g}\n")


def _written(one: Field, value: object, labels: list[str]) -> str:
    """A value as its file has it; empty if it is unknown."""
    if value is None:
        return ""
    if one.kind == "votes":
        return " ".join(f"{value.get(label, 0.0):g}" for label in labels)
    if one.kind == "vad":
        return " ".join(repr(float(x)) for x in value)
    return " ".join(value.split()) if one.kind == "text" else value
