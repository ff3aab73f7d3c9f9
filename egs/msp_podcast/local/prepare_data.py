#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of MSP-Podcast from its consensus labels, parts and votes."""

import json
import logging
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from sertl.cli import run
from sertl.data.clip_table import read_rows
from sertl.data.datadir import Utterance
from sertl.data.prepare import prepare_command
from sertl.data.table import listing
from sertl.errors import SertlError

logger = logging.getLogger(__name__)

LABELS = ("labels_consensus.csv", "labels_concensus.csv")  # older releases misspell it
AUDIO = ("Audios", "Audio")
NAME = re.compile(r"MSP-PODCAST_(?P<podcast>\d+)_(?P<segment>\d+)(?:_(?P<piece>\d+))?\.wav")
COLUMNS = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")
CLASSES = {
    "A": "angry",
    "S": "sad",
    "H": "happy",
    "U": "surprise",
    "F": "fear",
    "D": "disgust",
    "C": "contempt",
    "N": "neutral",
    "O": "other",
    "X": "no_agreement",
}
# Of labels_detailed.csv, one line for each rater; "Other-…" is what raters wrote themselves.
VOTES = "labels_detailed.csv"
VOTE_COLUMNS = ("FileName", "EmoClass_Major")
PARTS = {"Train": "train", "Development": "dev", "Validation": "dev"}
TESTS = ("Test1", "Test2", "Test3")  # speakers recur between them: none of them is trained on
OPTIONS = {"test": f"which test part is scored: {', '.join(TESTS)} (default: Test1)"}
UNKNOWN = "unknown"


def find(root: Path, folder: str, names: tuple[str, ...]) -> Path:
    """The first of some files or folders that is there."""
    for name in names:
        if (root / folder / name).exists():
            return root / folder / name
    raise SertlError(
        f"{root} is not MSP-Podcast: no {' or '.join(names)} in {folder or 'it'}; give the folder "
        "that holds Audios/ and Labels/ with --corpus-dir"
    )


def utterance(row: dict[str, str], audio: Path, test: str) -> Utterance | None:
    """A row; None for the test parts that are not asked for, whose labels may be withheld.

    Raises:
        SertlError: An unknown name, class, part or number.
    """
    match = NAME.fullmatch(row["FileName"])
    if match is None:
        raise SertlError(f"{row['FileName']}: expected a name such as MSP-PODCAST_0001_0008.wav")
    part = "test" if row["Split_Set"] == test else PARTS.get(row["Split_Set"])
    if part is None:
        if row["Split_Set"] in TESTS:
            return None
        raise SertlError(f"{row['FileName']}: unknown part '{row['Split_Set']}'")
    if row["EmoClass"] not in CLASSES:
        raise SertlError(f"{row['FileName']}: unknown class '{row['EmoClass']}'")
    known = row["SpkrID"] and row["SpkrID"].lower() != UNKNOWN
    # A speaker nobody knows: at best the same within a podcast, so a speaker of that podcast alone.
    spk = f"spk{row['SpkrID']}" if known else f"podcast{match['podcast']}"
    try:
        vad = tuple(float(row[key]) for key in ("EmoVal", "EmoAct", "EmoDom"))
    except ValueError:
        vad = None
    stem = Path(row["FileName"]).stem
    return Utterance(
        utt=f"{spk}-{stem}",
        spk=spk,
        wav=str(audio / row["FileName"]),
        dur_sec=0.0,
        emo=CLASSES[row["EmoClass"]],
        gender={"male": "m", "female": "f"}.get(row["Gender"].lower()),
        style="natural",
        vad=vad,
        part=part,
        order=f"{int(match['segment'])}.{match['piece'] or 0}",
    )


def with_votes(utts: list[Utterance], root: Path) -> list[Utterance]:
    """How many raters said each class, where the release has what single raters said.

    Raises:
        SertlError: A table without its columns.
    """
    path = root / "Labels" / VOTES
    if not path.is_file():
        logger.info("no Labels/%s: no votes, so no loss `votes`", VOTES)
        return utts
    rows = read_rows(path, ",")
    missing = [c for c in VOTE_COLUMNS if rows and c not in rows[0]]
    if missing:
        raise SertlError(f"{path}: no column {', '.join(missing)}")
    votes: dict[str, Counter] = {}
    for row in rows:
        word = row["EmoClass_Major"].split("-")[0].strip().lower()
        votes.setdefault(Path(row["FileName"]).stem, Counter())[word] += 1
    found = [replace(u, votes=votes.get(Path(u.wav).stem)) for u in utts]
    known = sum(u.votes is not None for u in found)
    logger.info("votes of raters: %d of %d utterances", known, len(utts))
    return found


def with_text(utts: list[Utterance], root: Path) -> list[Utterance]:
    """Words of Transcripts/<name>.txt, where the release has them."""
    folder = root / "Transcripts"
    if not folder.is_dir():
        logger.info("no Transcripts/: no text")
        return utts
    found = []
    for utt in utts:
        file = folder / f"{Path(utt.wav).stem}.txt"
        words = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        found.append(replace(utt, text=" ".join(words.split()) or None))
    return found


def read_podcast(root: Path, options: dict[str, str]) -> list[Utterance]:
    """Read the training, development and one test part.

    Raises:
        SertlError: A folder of something else, missing columns, or rows that cannot be read.
    """
    test = options.get("test", TESTS[0])
    if test not in TESTS:
        raise SertlError(f"--prepare test={test}: expected {', '.join(TESTS)}")
    table, audio = find(root, "Labels", LABELS), find(root, "", AUDIO)
    rows = read_rows(table, ",")
    missing = [c for c in COLUMNS if rows and c not in rows[0]]
    if not rows or missing:
        raise SertlError(f"{table}: no rows, or no column {', '.join(missing)}")
    utts, problems = [], []
    for row in rows:
        try:
            utts.append(utterance(row, audio, test))
        except SertlError as error:
            problems.append(str(error))
    if problems:
        raise SertlError(listing(f"{table}: rows that cannot be read", problems))
    kept = [u for u in utts if u is not None]
    parts = Counter(row["Split_Set"] for row in rows)
    logger.info("%s: %d rows, %s", table.name, len(rows), json.dumps(dict(sorted(parts.items()))))
    if pseudo := sum(u.spk.startswith("podcast") for u in kept):
        logger.info("%d utterances of speakers nobody knows: one for each podcast", pseudo)
    return with_votes(with_text(kept, root), root)


def main() -> None:
    prepare_command(__doc__, lambda args: read_podcast(args.corpus_dir, args.prepare), OPTIONS)


if __name__ == "__main__":
    run(main)
