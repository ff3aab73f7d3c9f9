#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of TESS; everything is in names such as OAF_back_angry.wav."""

import re
from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import Utterance
from sertl.data.named_files import find_files, match_name, read_named
from sertl.data.prepare import prepare_command

EXAMPLE = "OAF_back_angry.wav"
NAME = re.compile(r"(?P<spk>[A-Z]+)_(?P<word>[a-z'-]+)_(?P<emo>[a-z]+)", re.I)
SPEAKERS = {"OAF": "OAF", "YAF": "YAF", "OA": "OAF"}  # OA_bite_neutral.wav is a slip of the release
EMOTIONS = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happy",
    "neutral": "neutral",
    "ps": "surprise",  # pleasant surprise
    "sad": "sad",
}


def utterance(wav: Path) -> Utterance:
    """Read a name."""
    said = match_name(wav, NAME, EXAMPLE, spk=SPEAKERS, emo=EMOTIONS)
    spk = SPEAKERS[said["spk"]]
    return Utterance(
        utt=f"{spk}-{wav.stem}",
        spk=spk,
        wav=str(wav),
        dur_sec=0.0,
        emo=EMOTIONS[said["emo"]],
        gender="f",
        style="acted",
        text=f"Say the word {said['word'].lower()}",
    )


def read_tess(root: Path) -> list[Utterance]:
    """Read every recording."""
    files = find_files(root, "TESS", EXAMPLE, suffixes=(".wav",))
    return read_named(root, "TESS", files, utterance)


def main() -> None:
    prepare_command(__doc__, lambda args: read_tess(args.corpus_dir))


if __name__ == "__main__":
    run(main)
