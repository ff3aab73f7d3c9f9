# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A corpus that is a table of clips: what --prepare may say of it, and how it is read."""

import argparse
from pathlib import Path

from sertl.data.clip_table import UNGUESSED, USUAL, choose_columns, read_clips, read_rows
from sertl.data.datadir import Utterance
from sertl.data.described import describe
from sertl.data.fields import FIELDS
from sertl.data.prepare import groups_of
from sertl.errors import SertlError

COLUMNS = {
    "wav": "path of the clip, absolute or from --corpus-dir",
    "emo": "emotion label",
    "spk": "speaker; - if the table does not say",
    "gender": "m, f, male, female",
    "text": "words",
    "part": "train, dev, test: the folds, where every line has one",
    "session": "what a fold leaves out, where that is not the speaker",
    "valence": "a number; with arousal and dominance",
    "arousal": "a number",
    "dominance": "a number",
    "start": "where the clip begins in its file, seconds or as audformat writes it",
    "end": "where it ends",
    "utt": "id, where the path is none",
    "style": "scripted, improvised, natural or acted",
    "order": "a number: when it was said, compared with the speaker's others",
}
OPTIONS = {
    "table": "the CSV or TSV, in --corpus-dir or by its path (default: the only one there)",
    **{key: f"column: {meaning}" for key, meaning in COLUMNS.items()},
    "join": "further tables of the same files, parted by commas, e.g. audformat's db.files.csv",
    "own": "further columns to keep, parted by commas: one word for each clip",
    "drop": "labels to leave out, parted by commas",
    "merge": "label:class, parted by commas",
    "groups": "folds leave out so many groups of speakers instead of one speaker each",
    "sep": "what parts the values: tab, comma, semicolon or a character (default: by the head)",
}
SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";"}
assert {*COLUMNS} == {*USUAL, *UNGUESSED}


def find_table(root: Path, given: str | None) -> Path:
    """The table: given, or the only CSV or TSV of the folder.

    Raises:
        SertlError: If there is none, or several.
    """
    if given is not None:
        return root / given if (root / given).is_file() else Path(given)
    if root.is_file():
        return root
    found = sorted(p for end in ("*.csv", "*.tsv") for p in root.glob(end))
    if len(found) != 1:
        names = ", ".join(p.name for p in found) or "none"
        raise SertlError(f"{root}: CSV and TSV files: {names}; say which: --prepare table=FILE")
    return found[0]


def joined(rows: list[dict], column: str, path: Path, separator: str) -> list[dict]:
    """Rows with the columns of another table that has one line for each file."""
    other: dict[str, dict[str, str]] = {}
    for row in read_rows(path, separator):
        if column not in row:
            raise SertlError(f"{path}: no column {column!r} to join by; there are {list(row)}")
        if other.setdefault(row[column], row) is not row:
            raise SertlError(f"{path}: two lines for {row[column]}")
    missing = [row[column] for row in rows if row[column] not in other]
    if missing:
        raise SertlError(f"{path}: no line for {len(missing)} files, e.g. {missing[0]}")
    return [{**other[row[column]], **row} for row in rows]


def words_of(options: dict[str, str], key: str) -> list[str]:
    """The parts of an option's value."""
    return [word.strip() for word in options.get(key, "").split(",") if word.strip()]


def read_corpus(args: argparse.Namespace) -> tuple[dict, list[Utterance]]:
    """Description and utterances, from parsed options (see sertl.data.prepare)."""
    options = args.prepare
    path = find_table(args.corpus_dir, options.get("table"))
    root = args.corpus_dir if args.corpus_dir.is_dir() else path.parent
    separator = SEPARATORS.get(options.get("sep", ""), options.get("sep", ""))
    rows = read_rows(path, separator)
    if not rows:
        raise SertlError(f"{path}: no lines below the head")
    given = {key: options[key] for key in COLUMNS if key in options}
    for other in words_of(options, "join"):
        file = root / other if (root / other).is_file() else Path(other)
        column = choose_columns(list(rows[0]), given, str(path), ("wav",))["wav"]
        rows = joined(rows, column, file, separator)
    names = list(rows[0])
    columns = choose_columns(names, given, str(path))
    own = words_of(options, "own")
    for name in own:
        if name not in names or name in FIELDS:
            raise SertlError(f"own={name}: expected one of {', '.join(names)}, and no field's name")
    utts = read_clips(rows, columns, root, own, args.conf.parent / "clips")
    merge = {}
    for pair in words_of(options, "merge"):
        label, colon, name = pair.partition(":")
        if not colon or not name:
            raise SertlError(f"merge={pair}: expected label:class")
        merge[label] = name
    groups = groups_of(options, 0)
    notes = []
    if "spk" not in columns:
        notes.append(
            "speakers are not known, each clip counts as one: no result about new speakers"
        )
    name = args.policy or path.stem
    release = f"{path.name}, {len(rows)} lines"
    return describe(utts, name, release, words_of(options, "drop"), merge, groups, notes)
