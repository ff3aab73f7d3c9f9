#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of the mini corpus from its metadata.tsv."""

import csv
from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import Utterance
from sertl.data.prepare import prepare_command
from sertl.errors import SertlError


def read_mini(root: Path) -> list[Utterance]:
    """Read every line of metadata.tsv.

    Raises:
        SertlError: If root is not a finished mini corpus.
    """
    table = root / "metadata.tsv"
    if not table.is_file():
        raise SertlError(f"{root} holds no metadata.tsv; make the corpus with local/download.sh")
    with open(table, encoding="utf-8", newline="") as stream:
        return [utterance(row, root) for row in csv.DictReader(stream, delimiter="\t")]


def utterance(row: dict[str, str], root: Path) -> Utterance:
    """Build the utterance of one line."""
    return Utterance(
        utt=f"{row['spk']}-{row['utt']}",
        spk=row["spk"],
        wav=str(root / "wav" / row["spk"] / f"{row['utt']}.wav"),
        dur_sec=0.0,
        emo=row["emotion"],
        gender=row["gender"],
        style=row["style"],
        text=row["text"],
        vad=(float(row["valence"]), float(row["arousal"]), float(row["dominance"])),
        session=row["session"],
    )


def main() -> None:
    prepare_command(__doc__, lambda args: read_mini(args.corpus_dir))


if __name__ == "__main__":
    run(main)
