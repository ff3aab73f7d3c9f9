# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Read an IEMOCAP release: labels, transcripts and audio, joined by turn id alone.

A turn id is `Ses01F_impro01_M003`: session, the letter of the actor who wore the motion-capture
markers, scene, and in the last field the letter of the actor who speaks. The speaker is therefore
`Ses01` + `M` here. Ids are split from the right, as scenes hold underscores and suffixes
(`script01_1b`).
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from layout import find_root
from transcripts import read_transcripts

from sertl.data.datadir import Utterance
from sertl.data.table import listing
from sertl.errors import SertlError

logger = logging.getLogger(__name__)

TURN = re.compile(r"(?P<dialog>Ses0(?P<session>[1-5])[FM]_(?P<scene>impro|script)\w+)_[FM]\d{3}")
STYLES = {"impro": "improvised", "script": "scripted"}
GENDERS = {"F": "f", "M": "m"}
NUMBER = r"\s*(-?\d+(?:\.\d*)?)\s*"
LABEL_LINE = re.compile(  # [from - to] id code [valence, activation, dominance]; loose about blanks
    rf"\[{NUMBER}-{NUMBER}\]\s*(?P<turn>\S+)\s+(?P<code>[a-z]{{3}})\s*\[{NUMBER},{NUMBER},{NUMBER}\]"
)


@dataclass(frozen=True)
class Label:
    """What a summary line says of a turn."""

    code: str
    vad: tuple[float, float, float]  # valence, activation, dominance: means over the raters
    where: str  # file:line


def read_iemocap(root: str | Path, allow_subset: bool = False) -> list[Utterance]:
    """Read every turn of a release that has a wav.

    Args:
        root: Folder that holds Session1..Session5.
        allow_subset: Accept missing sessions, and drop turns whose wav is missing, with a note.

    Returns:
        Turns with their original three-letter code as `emo` (None without a label line) and the
        raters' means as they are, a few of them outside 1..5; durations are left at zero.

    Raises:
        SertlError: For a wrong folder, and for every malformed line, repeated id, and label
            without wav, all listed.
    """
    sessions = find_root(root, allow_subset)
    problems: list[str] = []
    labels = read_labels(sessions, problems)
    wavs = find_wavs(sessions, problems)
    texts = read_transcripts(sessions)
    without_wav = [
        f"{labels[t].where}: no wav for {t}" for t in sorted(labels.keys() - wavs.keys())
    ]
    if allow_subset and without_wav:
        logger.warning(listing("turns dropped as their wav is missing", without_wav, limit=20))
    else:
        problems += without_wav
    if problems:
        hint = "\nIf your copy is a part of the release on purpose, use --allow-subset."
        raise SertlError(
            listing(f"{root} is not a whole IEMOCAP release", problems, limit=len(problems))
            + (hint if without_wav and not allow_subset else "")
        )
    logger.info("%d label lines, %d wavs, %d transcripts", len(labels), len(wavs), len(texts))
    turns = sorted(turn for turn in wavs if TURN.fullmatch(turn))
    _warn("wavs whose name is no turn id, not used", sorted(wavs.keys() - set(turns)))
    _warn("wavs without a label line, not used", [t for t in turns if t not in labels])
    _warn(
        "labelled turns without a transcript", [t for t in turns if t in labels and t not in texts]
    )
    return [
        utterance(turn, labels.get(turn), wavs[turn], texts.get(turn), number)
        for number, turn in enumerate(turns)
    ]


def utterance(turn: str, label: Label | None, wav: str, text: str | None, order: int) -> Utterance:
    """Build the utterance of a turn; speaker, gender, style and session follow from its id.

    The order is that of dialogues by name and of turns by number, which count in time.
    """
    match = TURN.fullmatch(turn)
    letter = turn.rsplit("_", 1)[1][0]  # who speaks; the dialogue's letter says who wore markers
    spk = f"Ses0{match['session']}{letter}"
    return Utterance(
        utt=f"{spk}-{turn}",
        spk=spk,
        wav=wav,
        dur_sec=0.0,
        emo=label.code if label else None,
        gender=GENDERS[letter],
        style=STYLES[match["scene"]],
        text=text,
        vad=label.vad if label else None,
        session=f"Session{match['session']}",
        order=str(order),
    )


def read_labels(sessions: list[Path], problems: list[str]) -> dict[str, Label]:
    """Read the summary lines of all dialogues; the per-evaluator folders are not entered."""
    labels: dict[str, Label] = {}
    for session in sessions:
        for file in sorted((session / "dialog" / "EmoEvaluation").glob("Ses*.txt")):
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            for number, line in enumerate(lines, start=1):
                if not line.startswith("["):
                    continue  # header, votes (C-), attribute ratings (A-), blank lines
                where = f"{file}:{number}"
                match = LABEL_LINE.fullmatch(line.strip())
                if match is None or not TURN.fullmatch(match["turn"]):
                    problems.append(
                        f"{where}: expected '[from - to] Ses01F_impro01_F000 neu [V, A, D]', "
                        f"found {line!r}"
                    )
                elif match["turn"] in labels:
                    first = labels[match["turn"]].where
                    problems.append(f"{where}: {match['turn']} is labelled already in {first}")
                else:
                    vad = tuple(float(x) for x in match.groups()[-3:])
                    labels[match["turn"]] = Label(match["code"], vad, where)
    return labels


def find_wavs(sessions: list[Path], problems: list[str]) -> dict[str, str]:
    """Map turn id -> path of its wav; hidden files and whole-dialogue recordings are not listed."""
    wavs: dict[str, str] = {}
    for session in sessions:
        for path in sorted((session / "sentences" / "wav").glob("Ses*/Ses*")):
            if path.suffix.lower() != ".wav":
                continue
            if path.stem in wavs:
                problems.append(
                    f"{path}: second wav of {path.stem}, the other is {wavs[path.stem]}"
                )
            wavs.setdefault(path.stem, str(path))
    return wavs


def _warn(what: str, turns: list[str]) -> None:
    if turns:
        more = f" and {len(turns) - 10} more" if len(turns) > 10 else ""
        logger.warning("%d %s: %s%s", len(turns), what, " ".join(turns[:10]), more)
