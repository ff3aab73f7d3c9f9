#!/usr/bin/env python3
"""Make the data directory of NAME; everything is in names such as anna_joy_01.wav."""

import re
from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import Utterance
from sertl.data.named_files import find_files, match_name, read_named
from sertl.data.prepare import prepare_command

EXAMPLE = "anna_joy_01.wav"
PATTERN = re.compile(r"(?P<spk>[a-z]+)_(?P<emo>[a-z]+)_(?P<number>\d+)")
EMOTIONS = {"anger": "anger", "joy": "joy"}  # code in the name -> label


def utterance(wav: Path) -> Utterance:
    """What a file's name says; gender, text, session, vad, part and order are known to some."""
    said = match_name(wav, PATTERN, EXAMPLE, emo=EMOTIONS)
    return Utterance(
        utt=f"{said['spk']}-{wav.stem}",  # begins with the speaker
        spk=said["spk"],
        wav=str(wav),
        dur_sec=0.0,  # read from the audio in stage 1
        emo=EMOTIONS[said["emo"]],
    )


def read_corpus(root: Path) -> list[Utterance]:
    """Read every recording."""
    return read_named(root, "NAME", find_files(root, "NAME", EXAMPLE), utterance)


def main() -> None:
    prepare_command(__doc__, lambda args: read_corpus(args.corpus_dir))


if __name__ == "__main__":
    run(main)
