#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of RAVDESS's speech from names such as 03-01-05-02-01-01-12.wav."""

import re
from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import Utterance
from sertl.data.named_files import find_files, in_groups, match_name, read_named
from sertl.data.prepare import prepare_command

EXAMPLE = "Actor_12/03-01-05-02-01-01-12.wav"
NAME = re.compile(
    r"(?P<modality>\d\d)-(?P<channel>\d\d)-(?P<emo>\d\d)-(?P<level>0[12])-(?P<text>0[12])-0[12]-"
    r"(?P<actor>\d\d)"
)
SPEECH, SONG = "01", "02"
AUDIO_ONLY = "03"
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
TEXTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
ACTORS = [f"{n:02d}" for n in range(1, 25)]
GROUPS = in_groups(ACTORS, 4)  # two men and two women each: odd numbers are men


def utterance(wav: Path) -> Utterance | None:
    """Read a name; None for song, and for the sound of audio-video files, which is the same."""
    known = {"emo": EMOTIONS, "text": TEXTS, "actor": ACTORS, "channel": (SPEECH, SONG)}
    said = match_name(wav, NAME, EXAMPLE, **known)
    if said["channel"] == SONG or said["modality"] != AUDIO_ONLY:
        return None
    actor = said["actor"]
    return Utterance(
        utt=f"{actor}-{wav.stem}",
        spk=actor,
        wav=str(wav),
        dur_sec=0.0,
        emo=EMOTIONS[said["emo"]],
        gender="m" if int(actor) % 2 else "f",
        style="acted",
        text=TEXTS[said["text"]],
        session=GROUPS[actor],
        own={"level": {"01": "normal", "02": "strong"}[said["level"]]},
    )


def read_ravdess(root: Path) -> list[Utterance]:
    """Read every recording of speech."""
    files = find_files(root, "RAVDESS", EXAMPLE, suffixes=(".wav",))
    return read_named(root, "RAVDESS", files, utterance)


def main() -> None:
    prepare_command(__doc__, lambda args: read_ravdess(args.corpus_dir))


if __name__ == "__main__":
    run(main)
