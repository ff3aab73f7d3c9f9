#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of MSP-Improv from its evaluation file and the names of its clips."""

import logging
import re
from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import Utterance
from sertl.data.named_files import find_files
from sertl.data.prepare import prepare_command
from sertl.data.table import listing
from sertl.errors import SertlError

logger = logging.getLogger(__name__)

EXAMPLE = "session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav"
NAME = re.compile(
    r"(?:MSP-IMPROV|UTD-IMPROV)-(?P<scenario>S\d\d)(?P<target>[AHNS])-(?P<spk>[FM]\d\d)-"
    r"(?P<kind>[PRST])-(?P<turn>[FM]{2}\d\d)"
)
# The release misspells it; copies have mended the name.
EVALUATIONS = ("Evalution.txt", "Evaluation.txt")
LINE = re.compile(r"(?P<name>\S+)\.(?:avi|wav|mp4)\s*;\s*(?P<emo>[A-Z])\s*;(?P<rest>.*)")
VALUE = re.compile(r"\b(?P<key>[AVD])\s*:\s*(?P<value>-?\d+(?:\.\d+)?)")
CLASSES = {
    "A": "angry",
    "H": "happy",
    "N": "neutral",
    "S": "sad",
    "O": "other",
    "X": "no_agreement",
}
# R: read sentence; S: the turns of an improvised scene; T: its target sentence; P: between scenes.
STYLES = {"R": "scripted", "S": "improvised", "T": "improvised", "P": "natural"}


def read_evaluation(root: Path) -> dict[str, tuple[str, tuple[float, float, float] | None]]:
    """Clip -> (class, valence, arousal and dominance), by the part of its name after IMPROV.

    Raises:
        SertlError: No such file, or none of its lines is of the known form.
    """
    found = [p for name in EVALUATIONS for p in sorted(root.rglob(name))]
    if not found:
        raise SertlError(f"{root}: no {' or '.join(EVALUATIONS)} below it; it is not MSP-Improv")
    votes = {}
    for line in found[0].read_text(encoding="utf-8", errors="replace").splitlines():
        match = LINE.match(line.strip())
        if match is None:  # lines of single raters, and blank ones
            continue
        values = {m["key"]: float(m["value"]) for m in VALUE.finditer(match["rest"])}
        vad = tuple(values[k] for k in "VAD") if values.keys() >= {*"VAD"} else None
        votes[match["name"].split("IMPROV-")[-1]] = (match["emo"], vad)
    if not votes:
        raise SertlError(f"{found[0]}: no line such as UTD-IMPROV-S01A-F01-P-FM01.avi; A; A:3.2; …")
    return votes


def read_improv(root: Path) -> list[Utterance]:
    """Read every clip that has a name of the corpus.

    Raises:
        SertlError: A folder of something else, clips without a line or of unknown class.
    """
    files = find_files(root, "MSP-Improv", EXAMPLE, suffixes=(".wav",))
    votes = read_evaluation(root)
    utts, problems = [], []
    for wav in files:
        match = NAME.fullmatch(wav.stem)
        if match is None:
            problems.append(f"{wav}: expected a name such as {EXAMPLE}")
            continue
        key = wav.stem.split("IMPROV-")[-1]
        if key not in votes:
            problems.append(f"{wav}: no line in the evaluation file")
            continue
        emo, vad = votes[key]
        if emo not in CLASSES:
            problems.append(f"{wav}: unknown class '{emo}'")
            continue
        utts.append(
            Utterance(
                utt=f"{match['spk']}-{wav.stem}",
                spk=match["spk"],
                wav=str(wav),
                dur_sec=0.0,
                emo=CLASSES[emo],
                gender=match["spk"][0].lower(),
                style=STYLES[match["kind"]],
                vad=vad,
                session=f"session{int(match['spk'][1:])}",
                own={"kind": match["kind"], "target": CLASSES[match["target"]]},
            )
        )
    if problems:
        raise SertlError(listing(f"{root} holds clips that cannot be read", problems))
    if without := votes.keys() - {u.utt.split("IMPROV-")[-1] for u in utts}:
        logger.warning("%d lines of the evaluation file have no clip", len(without))
    return utts


def main() -> None:
    prepare_command(__doc__, lambda args: read_improv(args.corpus_dir))


if __name__ == "__main__":
    run(main)
