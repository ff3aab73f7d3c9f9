#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of ShEMO; everything is in names such as F01A05.wav."""

import re
from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import Utterance
from sertl.data.named_files import find_files, match_name, read_named
from sertl.data.prepare import prepare_command

EXAMPLE = "female/F01A05.wav"
NAME = re.compile(r"(?P<spk>[FM]\d\d)(?P<emo>[A-Z])(?P<number>\d+)")
EMOTIONS = {
    "A": "anger",
    "F": "fear",
    "H": "happiness",
    "N": "neutral",
    "S": "sadness",
    "W": "surprise",
}
WOMEN, MEN = 31, 56
SPEAKERS = [f"F{n:02d}" for n in range(1, WOMEN + 1)] + [f"M{n:02d}" for n in range(1, MEN + 1)]
# Every fifth speaker, so that women and men are in every group.
GROUPS = {spk: f"group{1 + n % 5:02d}" for n, spk in enumerate(SPEAKERS)}


def utterance(wav: Path) -> Utterance:
    """Read a name."""
    said = match_name(wav, NAME, EXAMPLE, spk=SPEAKERS, emo=EMOTIONS)
    return Utterance(
        utt=f"{said['spk']}-{wav.stem}",
        spk=said["spk"],
        wav=str(wav),
        dur_sec=0.0,
        emo=EMOTIONS[said["emo"]],
        gender=said["spk"][0].lower(),
        style="acted",  # in radio plays
        session=GROUPS[said["spk"]],
    )


def read_shemo(root: Path) -> list[Utterance]:
    """Read every recording."""
    files = find_files(root, "ShEMO", EXAMPLE, suffixes=(".wav",))
    return read_named(root, "ShEMO", files, utterance)


def main() -> None:
    prepare_command(__doc__, lambda args: read_shemo(args.corpus_dir))


if __name__ == "__main__":
    run(main)
