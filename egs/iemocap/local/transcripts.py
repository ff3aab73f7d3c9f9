# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Read the transcripts of IEMOCAP: one line per turn, `id [from-to]: words`."""

import logging
import re
from pathlib import Path

logger = logging.getLogger(__name__)

LINE = re.compile(r"(?P<turn>Ses\S+)\s*\[[^\]]*\]\s*:(?P<words>.*)")
UNTIMED = re.compile(r"[FM]\s*:")  # speech nobody timed: a letter instead of an id


def read_transcripts(sessions: list[Path]) -> dict[str, str]:
    """Map turn id -> words, with single blanks; tags such as [LAUGHTER] stay in.

    Ids ending in XX and a digit belong to no labelled turn and are left to the caller to ignore.
    Lines that cannot be read, and ids that come twice with different words (the first one
    counts), are logged: a text is never worth refusing the audio.
    """
    texts: dict[str, str] = {}
    odd = []
    for session in sessions:
        for file in sorted((session / "dialog" / "transcriptions").glob("Ses*.txt")):
            # Not splitlines, for which a Latin-1 byte 0x85, an ellipsis, would end a line.
            for number, line in enumerate(_decode(file.read_bytes()).split("\n"), start=1):
                line = line.strip()
                match = LINE.fullmatch(line)
                if match is None:
                    if line and not UNTIMED.match(line):
                        odd.append(f"{file}:{number}: {line!r}")
                    continue
                words = " ".join(match["words"].split())
                if texts.setdefault(match["turn"], words) != words:
                    odd.append(f"{file}:{number}: {match['turn']} again, with other words")
    if odd:
        logger.warning("%d transcript lines not used:\n  %s", len(odd), "\n  ".join(odd))
    return {turn: words for turn, words in texts.items() if words}


def _decode(data: bytes) -> str:
    """Decode UTF-8, or Latin-1 where it is not UTF-8 (which cannot fail)."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
