# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Corpora whose file names hold everything: find files, read names, say all that is wrong."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from sertl.data.datadir import Utterance
from sertl.data.table import listing
from sertl.errors import SertlError

AUDIO = (".wav", ".flac")
SHOWN = 12  # names in a message


def find_files(
    root: Path, name: str, example: str, folders: Iterable[str] = (), suffixes=AUDIO
) -> list[Path]:
    """Audio files of a corpus, below the first of some folders that exists; hidden ones left out.

    Args:
        root: As the user gave it.
        name: Of the corpus, for messages.
        example: A path that is looked for, for messages.
        folders: Below root, that releases keep the audio in; root itself comes last.

    Raises:
        SertlError: If there is no such folder, or no audio file in it.
    """
    if not root.is_dir():
        raise SertlError(f"{root}: no such folder; expected {name}")
    base = next((root / f for f in folders if (root / f).is_dir()), root)
    files = sorted(
        p
        for p in base.rglob("*")
        if p.suffix.lower() in suffixes
        and not any(part.startswith((".", "__MACOSX")) for part in p.relative_to(base).parts)
    )
    if not files:
        found = sorted(p.name for p in base.iterdir() if not p.name.startswith("."))
        shown = ", ".join(found[:SHOWN]) or "an empty folder"
        raise SertlError(
            f"{root} is not {name}: looked for {example} and the like, found {shown}. Give the "
            "folder that holds it with --corpus-dir"
        )
    return files


def match_name(path: Path, pattern: re.Pattern, example: str, **codes: Mapping) -> dict[str, str]:
    """The named groups of a file's stem.

    Args:
        path: The file.
        pattern: Of the whole stem.
        example: A right name, for the message.
        codes: Group -> what its values may be.

    Raises:
        SertlError: Another name, or an unknown code in it.
    """
    match = pattern.fullmatch(path.stem)
    if match is None:
        raise SertlError(f"{path}: expected a name such as {example}")
    for group, known in codes.items():
        if match[group] not in known:
            shown = ", ".join(map(str, list(known)[:SHOWN]))
            raise SertlError(f"{path}: unknown {group} '{match[group]}', expected {shown}")
    return match.groupdict()


def read_named(
    root: Path, name: str, files: Iterable[Path], read: Callable[[Path], Utterance | None]
) -> list[Utterance]:
    """What read makes of each file; None leaves a file out.

    Copies of a file in a second folder, which some releases have, are left out if id and size are
    the same.

    Raises:
        SertlError: All files that read refuses at once.
    """
    utts, problems = [], []
    seen: dict[tuple[str, int], Path] = {}
    for path in files:
        try:
            found = read(path)
        except SertlError as error:
            problems.append(str(error))
            continue
        if found is None:
            continue
        key = (found.utt, path.stat().st_size)
        if seen.setdefault(key, path).parent == path.parent:
            utts.append(found)
    if problems:
        raise SertlError(listing(f"{root} holds files that are not {name}'s", problems))
    return utts


def in_groups(speakers: Iterable[str], size: int) -> dict[str, str]:
    """Speaker -> group of so many neighbours in sorted order, as folds leave them out together."""
    order = sorted(speakers)
    return {spk: f"group{1 + n // size:02d}" for n, spk in enumerate(order)}
