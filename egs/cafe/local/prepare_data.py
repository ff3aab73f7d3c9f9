#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of CaFE; everything is in names such as 01-C-2-3.wav."""

import re
from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import Utterance
from sertl.data.named_files import find_files, match_name, read_named
from sertl.data.prepare import prepare_command

EXAMPLE = "01-C-2-3.wav"
NAME = re.compile(r"(?P<actor>\d\d)-(?P<emo>[A-Z])-(?P<level>[12])-(?P<text>[1-6])")
EMOTIONS = {
    "C": "anger",  # colère
    "D": "disgust",  # dégoût
    "J": "happiness",  # joie
    "N": "neutral",  # neutre
    "P": "fear",  # peur
    "S": "surprise",
    "T": "sadness",  # tristesse
}
ACTORS = [f"{n:02d}" for n in range(1, 13)]
LEVELS = {"1": "low", "2": "high"}


def utterance(wav: Path) -> Utterance:
    """Read a name."""
    said = match_name(wav, NAME, EXAMPLE, actor=ACTORS, emo=EMOTIONS)
    return Utterance(
        utt=f"{said['actor']}-{wav.stem}",
        spk=said["actor"],
        wav=str(wav),
        dur_sec=0.0,
        emo=EMOTIONS[said["emo"]],
        style="acted",
        own={"sentence": said["text"], "level": LEVELS[said["level"]]},
    )


def read_cafe(root: Path) -> list[Utterance]:
    """Read every recording."""
    files = find_files(root, "CaFE", EXAMPLE, suffixes=(".wav", ".aiff"))
    return read_named(root, "CaFE", files, utterance)


def main() -> None:
    prepare_command(__doc__, lambda args: read_cafe(args.corpus_dir))


if __name__ == "__main__":
    run(main)
