#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of MELD from its three tables and the sound of its clips."""

import logging
from pathlib import Path

from sertl.cli import run
from sertl.data.clip_table import read_rows
from sertl.data.datadir import Utterance
from sertl.data.prepare import prepare_command
from sertl.data.table import listing
from sertl.errors import SertlError

logger = logging.getLogger(__name__)

# Part -> table, rows of the release, folders that releases and their users keep its clips in.
PARTS = {
    "train": ("train_sent_emo.csv", 9989, ("train", "train_splits")),
    "dev": ("dev_sent_emo.csv", 1109, ("dev", "dev_splits_complete")),
    "test": ("test_sent_emo.csv", 2610, ("test", "output_repeated_splits_test")),
}
COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")
GENDERS = {
    **dict.fromkeys(("Chandler", "Joey", "Ross"), "m"),
    **dict.fromkeys(("Monica", "Phoebe", "Rachel"), "f"),
}
# Rows of the release that have no clip, or one that cannot be read.
BAD = {("dev", "dia110_utt7"), ("train", "dia125_utt3")}
AUDIO = (".wav", ".flac")
# Curly quotes and the byte that Windows-1252 has for one stand in the words.
QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u0092": "'", "\u201c": '"', "\u201d": '"'})


def find_table(root: Path, name: str) -> Path:
    """A table, wherever a copy of the repository or of the archive has it."""
    for folder in ("", "data/MELD", "MELD.Raw", "MELD"):
        if (root / folder / name).is_file():
            return root / folder / name
    raise SertlError(
        f"{root} is not MELD: no {name} in it, nor in data/MELD or MELD.Raw; give the folder that "
        "holds the three tables with --corpus-dir"
    )


def find_clips(root: Path, table: Path, folders: tuple[str, ...]) -> dict[str, Path]:
    """Clip, such as dia3_utt0, -> its sound. Hidden files and `final_videos_…` are left out.

    Raises:
        SertlError: No folder of the part, or films without sound files beside them.
    """
    places = [base / f for base in (root, table.parent) for f in folders]
    found = [p for folder in dict.fromkeys(places) if folder.is_dir() for p in folder.rglob("dia*")]
    clips = {p.stem: p for p in sorted(found) if p.suffix.lower() in AUDIO}
    if not clips:
        films = sum(p.suffix.lower() == ".mp4" for p in found)
        message = f"{root}: no sound of clips in {' or '.join(folders)}"
        if films:
            message += f"; {films} films are there: local/extract_audio.sh takes their sound"
        raise SertlError(message)
    return clips


def utterance(
    part: str, row: dict[str, str], clips: dict[str, Path], number: str
) -> Utterance | None:
    """A row with its clip, which stage 1 misses if there is none; None for those in BAD."""
    clip = f"dia{int(row['Dialogue_ID'])}_utt{int(row['Utterance_ID'])}"
    if (part, clip) in BAD:
        return None
    spk = "_".join(row["Speaker"].split())
    words = " ".join(row["Utterance"].translate(QUOTES).split())
    return Utterance(
        utt=f"{spk}-{part}-{clip}",
        spk=spk,
        wav=str(clips.get(clip, f"{part}/{clip}.wav")),
        dur_sec=0.0,
        emo=row["Emotion"].lower(),
        gender=GENDERS.get(spk),
        style="acted",
        text=words or None,
        part=part,
        order=number,
        own={"sentiment": row["Sentiment"].lower()},
    )


def read_meld(root: Path, allow_subset: bool) -> list[Utterance]:
    """Read all rows of all parts.

    Raises:
        SertlError: Missing tables or columns, other numbers of rows than released.
    """
    utts, problems = [], []
    for part, (name, expected, folders) in PARTS.items():
        table = find_table(root, name)
        rows = read_rows(table, ",")
        missing = [c for c in COLUMNS if rows and c not in rows[0]]
        if missing:
            raise SertlError(f"{table}: no column {', '.join(missing)}")
        if len(rows) != expected:
            problems.append(f"{table}: {len(rows)} rows, released were {expected}")
        clips = find_clips(root, table, folders)
        read = [utterance(part, row, clips, str(n)) for n, row in enumerate(rows)]
        utts += [u for u in read if u is not None]
    if problems and not allow_subset:
        raise SertlError(listing("other rows than MELD's (--allow-subset goes on)", problems))
    for problem in problems:
        logger.warning("%s", problem)
    return utts


def main() -> None:
    prepare_command(__doc__, lambda args: read_meld(args.corpus_dir, args.allow_subset))


if __name__ == "__main__":
    run(main)
