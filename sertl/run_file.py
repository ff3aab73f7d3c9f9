# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The one reader of what a run wrote: whole and of the right kind, or an error with its remedy."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from sertl.errors import SertlError
from sertl.schema.run_records import Record
from sertl.schema.strict import shown

RETRAIN = "delete its folder and train the phase anew"  # the remedy for what a phase wrote
ODD = (KeyError, TypeError, ValueError, AttributeError, IndexError, EOFError, RuntimeError)


def read_run_text(path: str | Path, remedy: str) -> str:
    """The UTF-8 text of a file of a run.

    Args:
        path: The file.
        remedy: What makes it anew, for errors: "run stage 8 with --redo".

    Raises:
        SertlError: If it is missing, no regular file, or not UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise SertlError(f"{path} is missing; {remedy}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SertlError(f"{path} is damaged: not UTF-8 at byte {error.start}; {remedy}") from error


def read_run_json(path: str | Path, kind: type[Record] | None, remedy: str) -> dict:
    """A JSON file of a run.

    Args:
        path: The file.
        kind: What it must hold; None for any JSON.
        remedy: As read_run_text.

    Raises:
        SertlError: If it is missing, not JSON, or lacks what other stages read.
    """
    return parse_run_json(read_run_text(path, remedy), kind, str(path), remedy)


def parse_run_json(text: str, kind: type[Record] | None, where: str, remedy: str) -> dict:
    """As read_run_json, of text that has been read."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SertlError(f"{where} is damaged: not JSON ({error}); {remedy}") from error
    if kind is None:
        return value
    if not isinstance(value, dict):
        raise SertlError(f"{where} is damaged: it holds {shown(value)}; {remedy}")
    try:
        kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        why = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"].lower()
        what = f"{key}: {why}" if key else why
        raise SertlError(f"{where} is not what sertl writes there: {what}; {remedy}") from error
    return value


@contextmanager
def understanding(path: str | Path, remedy: str) -> Iterator[None]:
    """Around code that interprets a file of a run whose parts cannot all be declared.

    Raises:
        SertlError: For what the code raises when a part is not as sertl writes it.
    """
    try:
        yield
    except ODD as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise SertlError(f"{path} is not what sertl writes there: {what}; {remedy}") from error
