# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a user may name to predict: audio files, folders, wav.scp, a list on standard input."""

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
        SertlError: A folder without audio, a line that is neither; an id twice.
    """
    seen: dict[str, str] = {}
    for utt, path in _expand(inputs, lines):
        if seen.setdefault(utt, path) != path:
            raise SertlError(f"{utt} names two recordings: {seen[utt]} and {path}")
        yield utt, path


def _expand(inputs: Sequence[str], lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in inputs:
        path = Path(name)
        if name == STDIN:
            yield from (_pair(line) for line in lines if line.strip())
        elif path.suffix == ".scp":
            yield from read_table(path).items()
        elif path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO)
            if not found:
                raise SertlError(f"{path}: no audio files in this folder")
            yield from ((str(p), str(p)) for p in found)
        else:
            yield name, name


def _pair(line: str) -> tuple[str, str]:
    line = line.strip()
    if Path(line).exists():  # a path may hold spaces
        return line, line
    utt, _, path = line.partition(" ")
    return (utt, path.strip()) if path.strip() else (line, line)
