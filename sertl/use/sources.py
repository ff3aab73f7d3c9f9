# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a user may name to predict: audio files, folders, wav.scp, a list on standard input."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import soundfile

from sertl.data.datadir import read_table
from sertl.errors import SertlError

AUDIO = {f".{name.lower()}" for name in soundfile.available_formats()} | {".opus", ".m4a"}
STDIN = "-"


def find_sources(inputs: Sequence[str], lines: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
    """Pairs of an id and a path, in order.

    Args:
        inputs: Files (the id is the path as given), folders (searched for audio, in sorted order),
            files named *.scp (`id path` a line), or "-" for lines.
        lines: Of standard input: a path, or an id and a path.

    Raises:
        SertlError: A folder without audio; what can't be a path, such as audio on standard input;
            an id twice.
    """
    seen: dict[str, str] = {}
    for utt, path in _expand(inputs, lines):
        if "\0" in path:
            raise SertlError(f"{utt[:40]!r} is no path: it has a null character")
        if seen.setdefault(utt, path) != path:
            raise SertlError(f"{utt} names two recordings: {seen[utt]} and {path}")
        yield utt, path


def _expand(inputs: Sequence[str], lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in inputs:
        path = Path(name)
        if name == STDIN:
            yield from _listed(lines)
        elif path.suffix == ".scp":
            yield from read_table(path).items()
        elif os.path.isdir(name):  # False, too, of a name that is too long for one
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO)
            if not found:
                raise SertlError(f"{path}: no audio files in this folder")
            yield from ((str(p), str(p)) for p in found)
        else:
            yield name, name


def _listed(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    try:
        for number, line in enumerate(lines, start=1):
            if "\0" in line:
                raise SertlError(
                    f"line {number} of standard input has a null character: - reads a list of "
                    "recordings, no audio; name the file itself"
                )
            if line.strip():
                yield _pair(line.strip())
    except UnicodeDecodeError as error:
        raise SertlError(
            f"standard input is no text ({error.reason}): - reads a list of recordings, no audio; "
            "name the file itself"
        ) from error


def _pair(line: str) -> tuple[str, str]:
    if os.path.exists(line):  # a path may hold spaces
        return line, line
    utt, _, path = line.partition(" ")
    return (utt, path.strip()) if path.strip() else (line, line)
