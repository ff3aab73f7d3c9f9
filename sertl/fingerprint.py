# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Recognise finished work by the inputs it was made from.

A folder that a stage writes holds `fingerprint.json`: the inputs (configuration, hashes, ids) and
whether the work is `running` or `done`. Running the stage again with the same inputs skips or
resumes; with other inputs it stops and names the difference, so nothing stale is ever reused.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from sertl.atomic import sweep, write_json
from sertl.errors import SertlError
from sertl.run_file import read_run_json
from sertl.schema.run_records import FingerprintFile

FILE = "fingerprint.json"


class Progress(Enum):
    """What a folder holds relative to the inputs that are asked for."""

    FRESH = "fresh"
    RESUME = "running"
    DONE = "done"


def text_hash(text: str) -> str:
    """16 hex digits of SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def lines_hash(lines: Iterable[str]) -> str:
    """text_hash of lines joined by newlines, without ever holding them as one text."""
    digest, between = hashlib.sha256(), b""
    for line in lines:
        digest.update(between + line.encode())
        between = b"\n"
    return digest.hexdigest()[:16]


def ids_hash(ids: Iterable[str]) -> str:
    """Hash of a set of utterance ids, whatever their order."""
    return lines_hash(sorted(ids))


def file_hash(path: str | os.PathLike) -> str:
    """16 hex digits of the SHA-256 of a file, or of every file in a folder with its name."""
    path = Path(path)
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        if file != path:
            digest.update(str(file.relative_to(path)).encode())
        with open(file, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def read_fingerprint(folder: str | os.PathLike) -> dict | None:
    """Return the stored record {"inputs": ..., "state": ...}, or None if there is none."""
    path = Path(folder) / FILE
    if not os.path.lexists(path):
        return None
    return read_run_json(path, FingerprintFile, f"delete {folder} and run its stage again")


def begin(folder: str | os.PathLike, inputs: dict, redo: bool = False) -> Progress:
    """Claim folder for work on inputs, and say how far an earlier run on the same inputs came.

    Args:
        folder: Output folder of the stage; created if missing.
        inputs: JSON-serialisable description of everything the result depends on.
        redo: Delete what is there and start afresh.

    Raises:
        SertlError: If folder was made from other inputs, naming each difference.
    """
    folder = Path(folder)
    if redo and (folder / FILE).is_file():
        _clear(folder)
    sweep(folder)
    found = progress(folder, inputs)
    if found is Progress.FRESH:
        write_json(folder / FILE, {"state": Progress.RESUME.value, "inputs": inputs})
    return found


def progress(folder: str | os.PathLike, inputs: dict) -> Progress:
    """Say how far work in folder on inputs came, as begin, but claim nothing.

    Raises:
        SertlError: If folder was made from other inputs, naming each difference.
    """
    record = read_fingerprint(folder)
    if record is None:
        return Progress.FRESH
    inputs = json.loads(json.dumps(inputs))  # what will be read back: tuples become lists
    if record["inputs"] != inputs:
        lines = "\n".join(f"  {line}" for line in differences(record["inputs"], inputs))
        raise SertlError(
            f"{folder} was made from other inputs:\n{lines}\n"
            "Use --redo to delete it and start again, or another output folder (--tag)."
        )
    return Progress(record["state"])


def _clear(folder: Path) -> None:
    """Delete what is in folder, its record last: half of it must not pass for done, nor fresh."""
    write_json(folder / FILE, {"state": Progress.RESUME.value, "inputs": {"deleting": "stopped"}})
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != FILE:
            entry.unlink()
    (folder / FILE).unlink()


def finish(folder: str | os.PathLike) -> None:
    """Mark the work begun in folder as done."""
    record = read_fingerprint(folder)
    if record is None:
        raise RuntimeError(f"finish() without begin() in {folder}")
    write_json(Path(folder) / FILE, {**record, "state": Progress.DONE.value})


def require_done(folder: str | os.PathLike, made_by: str) -> dict:
    """Return the inputs of finished work in folder.

    Raises:
        SertlError: If the folder is missing or its work unfinished; made_by says what makes it.
    """
    record = read_fingerprint(folder)
    if record is None:
        raise SertlError(f"{folder} is missing or incomplete; run {made_by} first")
    if record["state"] != Progress.DONE.value:
        raise SertlError(
            f"{folder} is unfinished (an earlier run was stopped); run {made_by} again"
        )
    return record["inputs"]


def differences(old: dict, new: dict, prefix: str = "") -> list[str]:
    """List "key: old -> new" for every leaf in which two nested dictionaries differ."""
    lines = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key, "(absent)"), new.get(key, "(absent)")
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {a} -> {b}")
    return lines
