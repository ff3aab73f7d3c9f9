#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of nEMO from its data.tsv; columns are read by name."""

import csv
from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import Utterance
from sertl.data.prepare import prepare_command
from sertl.data.table import listing
from sertl.errors import SertlError

COLUMNS = ("file_id", "emotion", "raw_text", "speaker_id", "gender")
GENDERS = {"female": "f", "male": "m"}
AUDIO = (".wav", ".flac")  # .wav in the full release, .flac in the 30-text subset


def read_table(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Read data.tsv into (line number, row) with blanks stripped from the values.

    The speaker column has eight leading blanks in the release.

    Raises:
        SertlError: If columns are missing or a line has too few or too many.
    """
    with open(path, encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        missing = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
        if missing:
            raise SertlError(
                f"{path}:1: no column {', '.join(missing)}; found {reader.fieldnames}. "
                "Expected the tab-separated table of nEMO."
            )
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise SertlError(
                    f"{path}:{reader.line_num}: expected {len(reader.fieldnames)} tab-separated "
                    f"values, found {row}"
                )
            rows.append((reader.line_num, {key: value.strip() for key, value in row.items()}))
    return rows


def find_audio(folder: Path) -> dict[str, str]:
    """Map file stem -> path for the audio files of a folder; hidden files are left out."""
    paths: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in AUDIO and not path.name.startswith("."):
            if path.stem in paths:
                raise SertlError(f"{path}: second file of {path.stem}, see {paths[path.stem]}")
            paths[path.stem] = str(path)
    return paths


def utterance(row: dict[str, str], audio: dict[str, str]) -> Utterance:
    """Join a row with its file, by stem, and check it against what the stem says.

    Raises:
        SertlError: If stem and columns disagree, the gender is unknown, or there is no file.
    """
    stem = row["file_id"].rsplit(".", 1)[0]
    spk, emo = row["speaker_id"], row["emotion"]
    parts = stem.split("_")
    if len(parts) != 3 or parts[:2] != [spk, emo] or not parts[2].isdecimal():
        raise SertlError(
            f"file_id '{row['file_id']}' is not <speaker>_<emotion>_<text number> of "
            f"speaker '{spk}' and emotion '{emo}'"
        )
    if row["gender"] not in GENDERS:
        raise SertlError(f"{stem}: gender '{row['gender']}', expected {' or '.join(GENDERS)}")
    if stem not in audio:
        raise SertlError(f"{stem}: no file samples/{stem}.wav or .flac")
    return Utterance(
        utt=f"{spk}-{stem}",
        spk=spk,
        wav=audio[stem],
        dur_sec=0.0,
        emo=emo,
        gender=GENDERS[row["gender"]],
        style="acted",
        text=row["raw_text"],
    )


def read_nemo(root: Path) -> list[Utterance]:
    """Read every line of data.tsv.

    Raises:
        SertlError: For a wrong folder, and for all bad lines and files without a line at once.
    """
    table, samples = root / "data.tsv", root / "samples"
    if not table.is_file() or not samples.is_dir():
        names = sorted(p.name for p in root.iterdir()) if root.is_dir() else []
        shown = ", ".join(names[:12]) or "no such folder, or an empty one"
        raise SertlError(
            f"{root} is not nEMO: looked for data.tsv and samples/, found {shown}. "
            "Give the folder that holds both with --corpus-dir."
        )
    audio = find_audio(samples)
    utts, problems = [], []
    for number, row in read_table(table):
        try:
            utts.append(utterance(row, audio))
        except SertlError as error:
            problems.append(f"{table}:{number}: {error}")
    named = {u.wav for u in utts}
    if not problems:
        problems = [f"{path}: not in {table}" for path in audio.values() if path not in named]
    if problems:
        raise SertlError(listing(f"{root}: table and files disagree", problems))
    return utts


def main() -> None:
    prepare_command(__doc__, lambda args: read_nemo(args.corpus_dir))


if __name__ == "__main__":
    run(main)
