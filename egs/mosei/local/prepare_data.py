#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of CMU-MOSEI: parts of films' sound, with sentiment or emotion."""

import logging
from pathlib import Path

from sertl.cli import run
from sertl.data.clip_table import read_rows
from sertl.data.cutting import clip_of
from sertl.data.datadir import Utterance
from sertl.data.prepare import prepare_command
from sertl.data.table import listing
from sertl.errors import SertlError

logger = logging.getLogger(__name__)

TRANSCRIPTS = tuple(f"{base}Segmented/Combined" for base in ("Transcript/", "Raw/Transcript/", ""))
AUDIO = ("Audio/Full/WAV_16000", "Raw/Audio/Full/WAV_16000", "WAV_16000")
SEPARATOR = "___"  # between video, clip, start, end and words
PARTS = {"train": "train", "valid": "dev", "dev": "dev", "test": "test"}
EMOTIONS = ("happy", "sad", "anger", "surprise", "disgust", "fear")
OPTIONS = {
    "labels": "table of video_id, clip_id, label (sentiment, -3 to 3), mode (train, valid, test) "
    f"and, for the policies emotion…, {', '.join(EMOTIONS)} (0 to 3); default: label.csv there"
}


def folder(root: Path, names: tuple[str, ...]) -> Path:
    """The first of some folders that is there."""
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise SertlError(f"{root} is not CMU-MOSEI: none of {', '.join(names)} in it")


def read_segments(path: Path) -> dict[str, tuple[float, float, str]]:
    """Clip -> (start, end, words) of a film's segmented transcript.

    Raises:
        SertlError: A line of another form.
    """
    found = {}
    for number, line in enumerate(path.read_text("utf-8", "replace").split("\n"), start=1):
        if not line.strip():
            continue
        parts = line.split(SEPARATOR)
        try:
            start, end = float(parts[2]), float(parts[3])
            found[str(int(parts[1]))] = start, end, " ".join(parts[4].split())
        except (IndexError, ValueError) as error:
            where = f"{path}:{number}"
            raise SertlError(f"{where}: expected video___clip___start___end___words") from error
    return found


def emotion_of(row: dict[str, str]) -> str | None:
    """The emotion that is strongest, `none` where none is present, None where two are equal."""
    values = {name: float(row[name] or 0) for name in EMOTIONS}
    top = max(values.values())
    strongest = [name for name, value in values.items() if value == top]
    return "none" if top <= 0 else strongest[0] if len(strongest) == 1 else None


def sentiment_of(value: float) -> str:
    """Negative, neutral (0) or positive."""
    return "negative" if value < 0 else "positive" if value > 0 else "neutral"


def read_mosei(root: Path, policy: str | None, labels: str | None, clips: Path) -> list[Utterance]:
    """Read all rows of the table and cut their clips.

    Raises:
        SertlError: A folder of something else, missing columns, rows without film or segment.
    """
    emotional = (policy or "").startswith("emotion")
    table = Path(labels) if labels and Path(labels).is_file() else root / (labels or "label.csv")
    rows = read_rows(table, ",")
    needed = ("video_id", "clip_id", "label", "mode", *(EMOTIONS if emotional else ()))
    missing = [c for c in needed if rows and c not in rows[0]]
    if not rows or missing:
        raise SertlError(f"{table}: no rows, or no column {', '.join(missing)}")
    texts, audio = folder(root, TRANSCRIPTS), folder(root, AUDIO)
    segments: dict[str, dict] = {}
    utts, problems = [], []
    for number, row in enumerate(rows, start=2):
        video, clip = row["video_id"], row["clip_id"]
        try:
            if video not in segments:
                segments[video] = read_segments(texts / f"{video}.txt")
            start, end, words = segments[video][str(int(clip))]
            value = float(row["label"])
            part = PARTS[row["mode"].lower()]
            emo = emotion_of(row) if emotional else sentiment_of(value)
            wav = clip_of(audio / f"{video}.wav", start, end, clips / f"{video}_{clip}.wav")
        except (SertlError, ValueError, KeyError, OSError) as error:
            problems.append(f"row {number}, {video} {clip}: {type(error).__name__} {error}")
            continue
        utts.append(
            Utterance(
                utt=f"{video}-{clip}",
                spk=video,  # speakers are not published: a film has one
                wav=str(wav),
                dur_sec=0.0,
                emo=emo,
                style="natural",
                text=words or None,
                part=part,
                order=str(start),
            )
        )
    if problems:
        raise SertlError(listing(f"{table}: rows that cannot be read", problems))
    return utts


def main() -> None:
    prepare_command(
        __doc__,
        lambda args: read_mosei(
            args.corpus_dir, args.policy, args.prepare.get("labels"), args.out.parent / "clips"
        ),
        OPTIONS,
    )


if __name__ == "__main__":
    run(main)
