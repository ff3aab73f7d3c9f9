# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Write the text files of a synthetic IEMOCAP, with every oddity of the release.

Written from the documentation of the corpus, and on purpose without a line of the reader's code.
Oddities: evaluators' folders with files that look like summaries, hidden `._*` and `.DS_Store`
files, Windows line ends (session 3), loose blanks in brackets (session 2), empty self-ratings, a
turn labelled in another dialogue's file (session 1), untimed and unlabelled transcript lines, text
in Latin-1 (session 4), a wav without a label, whole-dialogue recordings on two channels.
"""

from pathlib import Path

import numpy as np
import soundfile
from synthetic_plan import Turn

SAMPLE_RATE = 16000
WORDS = {"neu": "Neutral state", "ang": "Anger", "sad": "Sadness", "hap": "Happiness"}
MAC_JUNK = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        \x00\xff\xfe"
# Turns without a label line: there is a wav of the first, and of the second a transcript alone.
UNLABELLED_WAV = "Ses01F_impro01_F900"
UNLABELLED_TEXT = "Ses01F_impro01_MXX0"


def wav_path(out: Path, turn: str) -> Path:
    """Path of the wav of a turn."""
    dialog = turn.rsplit("_", 1)[0]
    return out / f"Session{turn[4]}" / "sentences" / "wav" / dialog / f"{turn}.wav"


def write_texts(out: Path, turns: list[Turn]) -> None:
    """Write labels, transcripts and decoys of all dialogues; wavs of turns are not written."""
    by_dialog: dict[str, list[Turn]] = {}
    for turn in turns:
        by_dialog.setdefault(turn.dialog, []).append(turn)
    for dialog, members in by_dialog.items():
        session = out / f"Session{members[0].session}"
        spans = _spans(len(members))
        _write_transcripts(session / "dialog" / "transcriptions" / f"{dialog}.txt", members, spans)
        _write_decoys(session, dialog, members, spans)
    _move_one_label(by_dialog)
    for dialog, members in by_dialog.items():
        session = out / f"Session{dialog[4]}"
        _write_labels(session / "dialog" / "EmoEvaluation" / f"{dialog}.txt", members)
    _write(out / ".DS_Store", MAC_JUNK)


def _spans(count: int) -> list[tuple[float, float]]:
    """Start and end in seconds of each turn of a dialogue."""
    return [(6.25 + 4 * k, 9.5 + 4 * k) for k in range(count)]


def _move_one_label(by_dialog: dict[str, list[Turn]]) -> None:
    """Let the last turn of the first dialogue stand in the label file of the second."""
    first, second = sorted(by_dialog)[:2]
    by_dialog[second] = [*by_dialog[second], by_dialog[first][-1]]
    by_dialog[first] = by_dialog[first][:-1]


def _write_labels(path: Path, members: list[Turn]) -> None:
    session = int(path.name[4])
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    for turn, (start, end) in zip(members, _spans(len(members)), strict=True):
        v, a, d = turn.vad
        span, vad = f"[{start:.4f} - {end:.4f}]", f"[{v:.4f}, {a:.4f}, {d:.4f}]"
        if session == 2:
            span, vad = f"[{start:.4f}-{end:.4f} ]", f"[ {v:.4f},{a:.4f},  {d:.4f} ]"
        word = WORDS.get(turn.code, "Other")
        lines += [
            f"{span}\t{turn.turn}\t{turn.code}\t{vad}",
            f"C-E2:\t{word};\t()",
            f"C-E4:\t{word}; Neutral state;\t()",
            f"C-{turn.speaker[-1]}1:\t{word};\t(tired)",
            f"A-E3:\tval {round(v)}; act {round(a)}; dom  {round(d)};\t()",
            f"A-{turn.speaker[-1]}1:\tval {round(v)}; act {round(a)}; dom  ;\t()",
            "",
        ]
    end_of_line = "\r\n" if session == 3 else "\n"
    _write(path, (end_of_line.join(lines) + end_of_line).encode())
    _write(path.with_name(f"._{path.name}"), MAC_JUNK)


def _write_transcripts(path: Path, members: list[Turn], spans: list[tuple[float, float]]) -> None:
    lines = ["M: Hello?", "F:"]
    for turn, (start, end) in zip(members, spans, strict=True):
        tag = " [LAUGHTER]" if turn.code in ("hap", "exc") else ""
        cafe = " At the café." if turn.session == 4 else ""
        lines.append(f"{turn.turn} [{start:08.4f}-{end:08.4f}]: {turn.text}{cafe}{tag}")
    if path.stem == UNLABELLED_TEXT.rsplit("_", 1)[0]:
        lines.append(f"{UNLABELLED_TEXT} [001.0000-002.0000]: Hm.")
    _write(path, ("\n".join(lines) + "\n").encode("latin-1"))
    _write(path.with_name(f"._{path.name}"), MAC_JUNK)


def _write_decoys(
    session: Path, dialog: str, members: list[Turn], spans: list[tuple[float, float]]
) -> None:
    """Write what must not be read: evaluators' files, hidden wavs, the whole dialogue."""
    evaluation = session / "dialog" / "EmoEvaluation"
    wrong = "".join(  # looks like a summary, has one evaluator's opinion
        f"[{start:.4f} - {end:.4f}]\t{turn.turn}\tfru\t[1.0000, 5.0000, 1.0000]\n"
        for turn, (start, end) in zip(members, spans, strict=True)
    )
    for folder, name in (
        ("Categorical", f"{dialog}_e2_cat.txt"),
        ("Attribute", f"{dialog}_e3_atr.txt"),
        ("Self-evaluation", f"{dialog}_f1_cat.txt"),
    ):
        _write(evaluation / folder / name, wrong.encode())
    folder = session / "sentences" / "wav" / dialog
    _write(folder / f"._{members[0].turn}.wav", MAC_JUNK)
    _write(folder / ".DS_Store", MAC_JUNK)
    whole = session / "dialog" / "wav" / f"{dialog}.wav"
    whole.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.1 * np.sin(2 * np.pi * 200 / SAMPLE_RATE * np.arange(SAMPLE_RATE // 4))
    soundfile.write(whole, np.stack([tone, -tone], axis=1), SAMPLE_RATE, subtype="PCM_16")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
