#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of EmoDB; everything is in the file names, such as 03a01Fa.wav."""

import re
from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import Utterance
from sertl.data.prepare import prepare_command
from sertl.data.table import listing
from sertl.errors import SertlError

# speaker, sentence, emotion, take
NAME = re.compile(r"(?P<spk>\d\d)(?P<text>[ab]\d\d)(?P<emo>[A-Z])(?P<take>[a-z]?)")
# Initials of the German words: A is Angst (fear), not anger; F is Freude, not fear.
EMOTIONS = {
    "W": "anger",  # Wut
    "L": "boredom",  # Langeweile
    "E": "disgust",  # Ekel
    "A": "fear",  # Angst
    "F": "happiness",  # Freude
    "T": "sadness",  # Trauer
    "N": "neutral",
}
GENDERS = {
    **dict.fromkeys(("03", "10", "11", "12", "15"), "m"),
    **dict.fromkeys(("08", "09", "13", "14", "16"), "f"),
}
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute Abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}


def find_wavs(root: Path) -> list[Path]:
    """List the wavs of root/wav, or of root itself; hidden files are left out.

    Raises:
        SertlError: If there is no such folder or it has none.
    """
    if not root.is_dir():
        raise SertlError(f"{root}: no such folder; expected EmoDB")
    folder = root / "wav" if (root / "wav").is_dir() else root
    files = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    wavs = [p for p in files if p.suffix.lower() == ".wav"]
    if not wavs:
        shown = ", ".join(p.name for p in files[:12]) or "an empty folder"
        raise SertlError(
            f"{root} is not EmoDB: looked for wav/03a01Fa.wav or 03a01Fa.wav and the like, "
            f"found {shown}. Give the folder that holds wav/, or wav/ itself."
        )
    return wavs


def utterance(wav: Path) -> Utterance:
    """Read everything off a file name.

    Raises:
        SertlError: If the name is not of EmoDB's form, or has an unknown code in it.
    """
    match = NAME.fullmatch(wav.stem)
    if match is None:
        raise SertlError(f"{wav}: expected a name such as 03a01Fa.wav")
    for part, known in (("spk", GENDERS), ("text", SENTENCES), ("emo", EMOTIONS)):
        if match[part] not in known:
            raise SertlError(f"{wav}: unknown {part} '{match[part]}', expected {', '.join(known)}")
    return Utterance(
        utt=f"{match['spk']}-{wav.stem}",
        spk=match["spk"],
        wav=str(wav),
        dur_sec=0.0,
        emo=EMOTIONS[match["emo"]],
        gender=GENDERS[match["spk"]],
        style="acted",
        text=SENTENCES[match["text"]],
    )


def read_emodb(root: Path) -> list[Utterance]:
    """Read every wav of the corpus.

    Raises:
        SertlError: For a wrong folder, and for all files with a name that cannot be read.
    """
    utts, problems = [], []
    for wav in find_wavs(root):
        try:
            utts.append(utterance(wav))
        except SertlError as error:
            problems.append(str(error))
    if problems:
        raise SertlError(listing(f"{root} holds wavs that are not EmoDB's", problems))
    return utts


def main() -> None:
    prepare_command(__doc__, lambda args: read_emodb(args.corpus_dir))


if __name__ == "__main__":
    run(main)
