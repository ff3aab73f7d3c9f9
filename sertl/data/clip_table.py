# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A CSV or TSV of clips, one a line, read by the names of its columns.

Columns that are not named are guessed from common names, where exactly one fits; the log says which
was taken for what. audformat and nkululeko tables are such files: `file` (with `start` and `end`,
where clips are parts of files), `emotion`, `speaker`, `gender`; what audformat keeps in other
tables of the same database, such as the speaker of a file, is joined by the file's name.
"""

import csv
import io
import logging
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sertl.data.cutting import clip_of
from sertl.data.datadir import Utterance
from sertl.data.table import listing
from sertl.errors import SertlError, unknown_name

logger = logging.getLogger(__name__)

# What may be known -> usual names of the column, in lower case. Only these are guessed.
USUAL = {
    "wav": "wav file path filename file_name filepath file_path audio audio_path wav_path".split(),
    "emo": "emo emotion label emotion_label class category".split(),
    "spk": "spk speaker speaker_id spk_id spkid spkrid speakerid actor subject".split(),
    "gender": "gender sex".split(),
    "text": "text transcript transcription sentence utterance words".split(),
    "part": "part split set partition subset split_set".split(),
    "session": "session session_id dialogue dialogue_id".split(),
    "valence": "valence emoval val".split(),
    "arousal": "arousal activation emoact aro act".split(),
    "dominance": "dominance emodom dom".split(),
    "start": ["start", "start_sec", "start_time"],
    "end": ["end", "end_sec", "end_time"],
}
UNGUESSED = ("utt", "style", "order")  # columns that are read only where they are named
NEEDED = ("wav", "emo")
GENDERS = {"m": "m", "male": "m", "man": "m", "f": "f", "female": "f", "woman": "f"}
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "devel", "development", "val", "valid", "validation"), "dev"),
    **dict.fromkeys(("test", "testing"), "test"),
}
BLANK = ("", "-", "nan", "none", "null", "nat", "na", "n/a")  # values that say nothing
TIME = re.compile(r"(?:(?P<days>\d+) days? )?(?P<h>\d+):(?P<m>\d\d):(?P<s>\d\d(?:\.\d+)?)")


def read_rows(path: Path, separator: str = "") -> list[dict[str, str]]:
    """The lines of a table by the names in its head; values without blanks around them.

    Args:
        path: UTF-8 text with a head line.
        separator: Between values; empty: tab, comma or semicolon, what the head has most of.

    Raises:
        SertlError: No such file, no head, a repeated name, lines of another length (all named).
    """
    if not path.is_file():
        raise SertlError(f"{path}: no such file; expected a table with a head line")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SertlError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from error
    head = text.split("\n", 1)[0]
    separator = separator or max("\t,;", key=head.count)
    # Not splitlines, for which U+0085 ends a line: Windows-1252's ellipsis, read as Latin-1.
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        names = [name.strip() for name in next(lines, [])]
        if not any(names):
            raise SertlError(f"{path}: empty; expected a head line with the columns' names")
        if repeated := sorted({n for n in names if names.count(n) > 1}):
            raise SertlError(f"{path}:1: two columns are called {repeated[0]!r}")
        rows, problems = [], []
        for values in lines:
            if not values:
                continue
            if len(values) != len(names):
                problems.append(
                    f"line {lines.line_num}: {len(values)} values for {len(names)} columns"
                )
                continue
            rows.append(dict(zip(names, (v.strip() for v in values), strict=True)))
    except csv.Error as error:
        raise SertlError(f"{path}:{lines.line_num}: {error}") from error
    if problems:
        raise SertlError(listing(f"{path}: not a table", problems))
    return rows


def choose_columns(
    names: Sequence[str],
    given: Mapping[str, str],
    where: str,
    needed: Sequence[str] = NEEDED,
) -> dict[str, str]:
    """Which column holds what.

    Args:
        names: Of the columns.
        given: What -> column; "-" for none.
        where: For messages.
        needed: What there must be.

    Raises:
        SertlError: An unknown column (with the nearest), several that fit, or none where one must.
    """
    found = {}
    for what, column in given.items():
        if column == "-":
            continue
        if column not in names:
            raise SertlError(f"{where}: {what}: {unknown_name('column', column, names)}")
        found[what] = column
    for what, usual in USUAL.items():
        if what in given:
            continue
        fitting = [n for n in names if n.lower().replace(" ", "_") in usual]
        fitting = [n for n in fitting if n not in found.values()]
        if len(fitting) > 1:
            raise SertlError(
                f"{where}: {what} may be {' or '.join(fitting)}; say which: {what}={fitting[0]}"
            )
        if fitting:
            found[what] = fitting[0]
    for what in needed:
        if what not in found:
            raise SertlError(
                f"{where}: no column for {what}; say which: {what}=<one of {', '.join(names)}>"
            )
    logger.info("%s: %s", where, ", ".join(f"{w} is {c!r}" for w, c in found.items()))
    return found


def seconds(value: str) -> float | None:
    """A time in seconds, or as audformat writes it (0 days 00:00:01.5); None where it says nothing.

    Raises:
        ValueError: Anything else.
    """
    if value.lower() in BLANK:
        return None
    if match := TIME.fullmatch(value):
        days, hours, minutes = (float(match[k] or 0) for k in ("days", "h", "m"))
        return ((days * 24 + hours) * 60 + minutes) * 60 + float(match["s"])
    found = float(value)
    if not math.isfinite(found) or found < 0:
        raise ValueError(f"time {value!r}")
    return found


def word(value: str) -> str | None:
    """A value as one word; None where it says nothing."""
    return None if value.lower() in BLANK else "_".join(value.split())


def read_clips(
    rows: Iterable[Mapping[str, str]],
    columns: Mapping[str, str],
    root: Path,
    own: Sequence[str] = (),
    clips: Path | None = None,
) -> list[Utterance]:
    """Utterances of a table.

    Args:
        rows: From read_rows.
        columns: From choose_columns.
        root: Folder that the paths are relative to.
        own: Further columns, kept as `utt2<name>`.
        clips: Folder for parts of files; None where files are whole.

    Raises:
        SertlError: Naming all lines with values that cannot be read.
    """
    rows, utts, problems = list(rows), [], []
    folders = [str((root / row[columns["wav"]]).parent) for row in rows]
    base = Path(os.path.commonpath(folders)) if rows else root
    for number, row in enumerate(rows, start=2):
        try:
            utts.append(_utterance(row, columns, (root, base), own, clips))
        except (ValueError, SertlError) as error:
            problems.append(f"row {number}: {error}")
    if problems:
        raise SertlError(listing("rows that cannot be read", problems))
    return utts


def _utterance(
    row: Mapping[str, str],
    columns: Mapping[str, str],
    places: tuple[Path, Path],
    own: Sequence[str],
    clips: Path | None,
) -> Utterance:
    """A line; places: the folder that paths are relative to, and the one that holds all files."""
    said = {what: row[column] for what, column in columns.items()}
    if not said["wav"]:
        raise SertlError("no path of a file")
    path = places[0] / said["wav"]
    stem = "-".join(path.relative_to(places[1]).with_suffix("").parts)
    start, end = (seconds(said.get(key, "")) for key in ("start", "end"))
    if start or end:
        stem += f"-{round(1000 * (start or 0)):07d}"
        if clips is None:
            raise SertlError("start and end, but no folder for clips")
        path = clip_of(path, start or 0.0, end, clips / f"{word(stem)}.wav")
    name = word(said.get("utt", "")) or word(stem)
    spk = word(said.get("spk", ""))
    gender = said.get("gender", "").lower()
    part = said.get("part", "").lower()
    if gender not in BLANK and gender not in GENDERS:
        gender = "-"  # other words, such as diverse: not one of the two classes that a head has
    if part not in BLANK and part not in PARTS:
        raise SertlError(f"part {said['part']!r}; expected {', '.join(PARTS)}")
    vad = tuple(_number(said, key) for key in ("valence", "arousal", "dominance"))
    spk = name if spk is None else spk  # a clip of a speaker nobody knows is its own
    return Utterance(
        utt=name if name.startswith(f"{spk}-") else f"{spk}-{name}",
        spk=spk,
        wav=str(path),
        dur_sec=0.0,
        emo=word(said["emo"]),
        gender=GENDERS.get(gender),
        style=word(said.get("style", "")),
        text=" ".join(said.get("text", "").split()) or None,
        vad=None if None in vad else vad,
        session=word(said.get("session", "")),
        part=PARTS.get(part),
        order=word(said.get("order", "")),
        own={name: word(row[name]) or "-" for name in own},
    )


def _number(said: Mapping[str, str], key: str) -> float | None:
    value = said.get(key, "")
    if value.lower() in BLANK:
        return None
    try:
        return float(value)
    except ValueError:
        raise SertlError(f"{key} {value!r} is no number") from None
