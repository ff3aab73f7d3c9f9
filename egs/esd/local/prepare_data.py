#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of ESD's English half from its folders <speaker>/<emotion>/."""

import logging
import re
from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import Utterance
from sertl.data.prepare import prepare_command
from sertl.data.table import listing
from sertl.errors import SertlError

logger = logging.getLogger(__name__)

EMOTIONS = ("angry", "happy", "neutral", "sad", "surprise")
GENDERS = {
    **dict.fromkeys(("0011", "0012", "0013", "0014", "0020"), "m"),
    **dict.fromkeys(("0015", "0016", "0017", "0018", "0019"), "f"),
}
MANDARIN = re.compile(r"00(0[1-9]|10)")
NAME = re.compile(r"(?P<spk>\d{4})_(?P<number>\d{6})")
PARTS = {"train": "train", "evaluation": "dev", "test": "test"}  # folders that some copies have
SENTENCES = 350  # of each speaker and emotion, in the order of their numbers
DEV, TEST = 20, 30  # the first of them
NESTED = "Emotion Speech Dataset"  # what the archive unpacks to
# id, words, emotion; tabs in some files, blanks in others
LINE = re.compile(r"(?P<utt>\d{4}_\d{6})\s+(?P<text>\S.*?)\s+(?P<emo>\S+)")


def official_part(number: int) -> str:
    """The part of a file number, which is the same in copies without folders for the parts."""
    sentence = (number - 1) % SENTENCES
    if sentence < DEV:
        return "dev"
    return "test" if sentence < DEV + TEST else "train"


def decode(content: bytes) -> str:
    """Text of a transcript file; the release has ASCII, UTF-16 and Windows-1252 side by side."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    if b"\x00" in content[:100]:
        return content.decode("utf-16-le", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def read_texts(path: Path) -> dict[str, str]:
    """Words by utterance; lines that cannot be read are counted, for words are an extra here."""
    if not path.is_file():
        logger.warning("%s: no such file; its speaker has no text", path)
        return {}
    lines = [line.strip() for line in decode(path.read_bytes()).splitlines() if line.strip()]
    found = [match for line in lines if (match := LINE.fullmatch(line))]
    if len(found) < len(lines):
        logger.warning("%s: %d of %d lines not read", path, len(lines) - len(found), len(lines))
    return {match["utt"]: match["text"] for match in found}


def utterance(wav: Path, speaker: Path, texts: dict[str, str]) -> Utterance:
    """Read one file: <speaker>/<emotion>/<id>.wav, or with the part before the id.

    Raises:
        SertlError: For another path or name, or a speaker who is not the folder's.
    """
    folders = wav.relative_to(speaker).parts[:-1]
    match = NAME.fullmatch(wav.stem)
    if match is None or match["spk"] != speaker.name:
        raise SertlError(f"{wav}: expected a name such as {speaker.name}_000351.wav")
    if not 1 <= len(folders) <= 2 or folders[0].lower() not in EMOTIONS:
        raise SertlError(f"{wav}: expected a folder of {', '.join(EMOTIONS)}, found {folders}")
    if len(folders) == 2 and folders[1].lower() not in PARTS:
        raise SertlError(f"{wav}: expected a folder of {', '.join(PARTS)}, found {folders[1]}")
    part = official_part(int(match["number"]))
    return Utterance(
        utt=f"{speaker.name}-{wav.stem}",
        spk=speaker.name,
        wav=str(wav),
        dur_sec=0.0,
        emo=folders[0].lower(),
        gender=GENDERS[speaker.name],
        style="acted",
        text=texts.get(wav.stem),
        part=PARTS[folders[1].lower()] if len(folders) == 2 else part,
    )


def read_esd(root: Path) -> list[Utterance]:
    """Read the English speakers.

    Raises:
        SertlError: For a wrong folder, and for all files that cannot be placed.
    """
    base = root / NESTED if (root / NESTED).is_dir() else root
    folders = sorted(p for p in base.iterdir() if p.is_dir()) if base.is_dir() else []
    speakers = [p for p in folders if p.name in GENDERS]
    if not speakers:
        shown = ", ".join(p.name for p in folders[:12]) or "no folder"
        raise SertlError(
            f"{root} is not ESD with English speakers: looked for folders 0011 to 0020, found "
            f"{shown}. Give the folder that holds them with --corpus-dir."
        )
    if mandarin := [p.name for p in folders if MANDARIN.fullmatch(p.name)]:
        logger.info("Mandarin speakers left out: %s", " ".join(mandarin))
    utts, problems = [], []
    for speaker in speakers:
        texts = read_texts(speaker / f"{speaker.name}.txt")
        for wav in sorted(speaker.rglob("*")):
            if wav.suffix.lower() != ".wav" or wav.name.startswith("."):
                continue
            try:
                utts.append(utterance(wav, speaker, texts))
            except SertlError as error:
                problems.append(str(error))
    if problems:
        raise SertlError(listing(f"{root} holds files that are not ESD's", problems))
    if without := sum(u.text is None for u in utts):
        logger.info("%d of %d utterances have no text", without, len(utts))
    return utts


def main() -> None:
    prepare_command(__doc__, lambda args: read_esd(args.corpus_dir))


if __name__ == "__main__":
    run(main)
