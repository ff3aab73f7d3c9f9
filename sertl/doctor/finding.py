# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a check of the doctor finds."""

from dataclasses import dataclass

OK, NOTE, WARNING, PROBLEM = "ok", "note", "warning", "problem"
INSTALL = "run tools/install.sh"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        level: ok | note | warning (something optional will not work) | problem (sertl will not).
        topic: What was looked at.
        text: What was found and, unless it is fine, what to do.
    """

    level: str
    topic: str
    text: str


def reason(error: BaseException) -> str:
    """An exception in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else '(no message)'}"
