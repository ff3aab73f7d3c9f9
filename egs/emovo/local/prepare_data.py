#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of EMOVO; everything is in names such as rab-f1-b1.wav."""

import re
from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import Utterance
from sertl.data.named_files import find_files, match_name, read_named
from sertl.data.prepare import prepare_command

EXAMPLE = "f1/rab-f1-b1.wav"
NAME = re.compile(r"(?P<emo>[a-z]{3})-(?P<spk>[fm]\d)-(?P<text>[a-z]\d)")
EMOTIONS = {
    "dis": "disgust",  # disgusto
    "gio": "joy",  # gioia
    "neu": "neutral",  # neutro
    "pau": "fear",  # paura
    "rab": "anger",  # rabbia
    "sor": "surprise",  # sorpresa
    "tri": "sadness",  # tristezza
}
SPEAKERS = ("f1", "f2", "f3", "m1", "m2", "m3")


def utterance(wav: Path) -> Utterance:
    """Read a name."""
    said = match_name(wav, NAME, EXAMPLE, emo=EMOTIONS, spk=SPEAKERS)
    return Utterance(
        utt=f"{said['spk']}-{wav.stem}",
        spk=said["spk"],
        wav=str(wav),
        dur_sec=0.0,
        emo=EMOTIONS[said["emo"]],
        gender=said["spk"][0],
        style="acted",
        own={"sentence": said["text"]},
    )


def read_emovo(root: Path) -> list[Utterance]:
    """Read every recording."""
    files = find_files(root, "EMOVO", EXAMPLE, ("EMOVO",), (".wav",))
    return read_named(root, "EMOVO", files, utterance)


def main() -> None:
    prepare_command(__doc__, lambda args: read_emovo(args.corpus_dir))


if __name__ == "__main__":
    run(main)
