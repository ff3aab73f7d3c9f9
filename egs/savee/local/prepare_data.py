#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of SAVEE: DC_a01.wav, or a01.wav in a folder DC."""

import re
from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import Utterance
from sertl.data.named_files import find_files, match_name, read_named
from sertl.data.prepare import prepare_command
from sertl.errors import SertlError

EXAMPLE = "DC_a01.wav or DC/a01.wav"
# Two letters before one: sa01 is sadness, not an s and a01.
NAME = re.compile(r"(?:(?P<spk>[A-Z]{2})_)?(?P<emo>sa|su|[adfhn])(?P<number>\d\d)")
SPEAKERS = ("DC", "JE", "JK", "KL")
EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}


def utterance(wav: Path) -> Utterance:
    """Read a name, and the folder where the name has no speaker."""
    said = match_name(wav, NAME, EXAMPLE)
    spk = said["spk"] or wav.parent.name
    if spk not in SPEAKERS:
        raise SertlError(f"{wav}: unknown speaker '{spk}', expected {', '.join(SPEAKERS)}")
    return Utterance(
        utt=f"{spk}-{said['emo']}{said['number']}",
        spk=spk,
        wav=str(wav),
        dur_sec=0.0,
        emo=EMOTIONS[said["emo"]],
        gender="m",
        style="acted",
    )


def read_savee(root: Path) -> list[Utterance]:
    """Read every recording."""
    files = find_files(root, "SAVEE", EXAMPLE, ("AudioData", "ALL"), (".wav",))
    return read_named(root, "SAVEE", files, utterance)


def main() -> None:
    prepare_command(__doc__, lambda args: read_savee(args.corpus_dir))


if __name__ == "__main__":
    run(main)
