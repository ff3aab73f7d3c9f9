#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of CREMA-D: classes as intended, or as listeners voted on the voice."""

import csv
import logging
import re
from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import Utterance
from sertl.data.named_files import find_files, in_groups, match_name, read_named
from sertl.data.prepare import prepare_command
from sertl.errors import SertlError

logger = logging.getLogger(__name__)

EXAMPLE = "AudioWAV/1001_DFA_ANG_XX.wav"
NAME = re.compile(r"(?P<actor>\d{4})_(?P<text>[A-Z]{3})_(?P<emo>[A-Z]{3})_(?P<level>[A-Z]{2}|X)")
EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
VOTES = {code[0]: name for code, name in EMOTIONS.items()}  # A, D, F, H, N, S
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "-", "X": "-"}  # a few names have X
TEXTS = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
ACTORS = [str(n) for n in range(1001, 1092)]
GROUPS = in_groups(ACTORS, 19)
DEMOGRAPHICS, SUMMARY = "VideoDemographics.csv", "processedResults/summaryTable.csv"
STUB = b"version https://git-lfs"  # what a download as zip has instead of audio


def read_csv(path: Path, *columns: str) -> list[dict[str, str]]:
    """Lines of a table with these columns."""
    with open(path, encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    missing = [c for c in columns if rows and c not in rows[0]]
    if not rows or missing:
        raise SertlError(f"{path}: no lines, or no column {', '.join(missing)}")
    return rows


def genders(root: Path) -> dict[str, str]:
    """Gender by actor; empty, with a warning, where the table is not there."""
    path = root / DEMOGRAPHICS
    if not path.is_file():
        logger.warning("%s: no such file; genders are not known", path)
        return {}
    rows = read_csv(path, "ActorID", "Sex")
    return {row["ActorID"].strip(): row["Sex"].strip().lower()[:1] for row in rows}


def voice_votes(root: Path) -> dict[str, str]:
    """Class by file as most listeners to the voice alone heard it; ties are called tie."""
    path = root / SUMMARY
    if not path.is_file():
        raise SertlError(f"{path}: no such file; the policy `voice` needs it")
    rows = read_csv(path, "FileName", "VoiceVote")
    return {row["FileName"].strip(): VOTES.get(row["VoiceVote"].strip(), "tie") for row in rows}


def read_cremad(root: Path, policy: str | None) -> list[Utterance]:
    """Read every clip.

    Raises:
        SertlError: For a wrong folder, Git LFS stubs instead of audio, or unknown names.
    """
    files = find_files(root, "CREMA-D", EXAMPLE, ("AudioWAV",), (".wav",))
    if files[0].read_bytes()[: len(STUB)] == STUB:
        raise SertlError(f"{files[0]}: a Git LFS stub, not audio; clone with git-lfs installed")
    gender, votes = genders(root), voice_votes(root) if policy == "voice" else {}

    def utterance(wav: Path) -> Utterance:
        said = match_name(wav, NAME, EXAMPLE, actor=ACTORS, text=TEXTS, emo=EMOTIONS, level=LEVELS)
        if votes and wav.stem not in votes:
            raise SertlError(f"{wav}: not in {SUMMARY}")
        return Utterance(
            utt=f"{said['actor']}-{wav.stem}",
            spk=said["actor"],
            wav=str(wav),
            dur_sec=0.0,
            emo=votes.get(wav.stem, EMOTIONS[said["emo"]]),
            gender=gender.get(said["actor"]),
            style="acted",
            text=TEXTS[said["text"]],
            session=GROUPS[said["actor"]],
            own={"level": LEVELS[said["level"]], "intended": EMOTIONS[said["emo"]]},
        )

    return read_named(root, "CREMA-D", files, utterance)


def main() -> None:
    prepare_command(__doc__, lambda args: read_cremad(args.corpus_dir, args.policy))


if __name__ == "__main__":
    run(main)
