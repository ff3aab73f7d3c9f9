# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The declared keys as rows: for help and for docs/keys.md."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

from sertl.schema.strict import Section, allowed, section_of
from sertl.yaml_text import dump_yaml


@dataclass(frozen=True)
class Row:
    """One key.

    Attributes:
        key: Dotted.
        default: As YAML; empty where the key is needed.
        allowed: Type, range or choices, in words.
        meaning: What it does.
    """

    key: str
    default: str
    allowed: str
    meaning: str


def rows_of_section(kind: type[Section], prefix: str = "") -> Iterator[Row]:
    """The keys of a section and of those within it, in their order."""
    for key, field in kind.keys().items():
        part = section_of(field)
        if part is not None and not field.description:
            yield from rows_of_section(part, f"{prefix}{key}.")
            continue
        default = "" if field.is_required() else _yaml(field.default)
        words = allowed(Annotated[field.annotation, field])
        yield Row(prefix + key, default, words, field.description or "")


def rows_of_callable(thing: Callable, positional: int, prefix: str = "") -> Iterator[Row]:
    """What a configuration may set of a model, a pooling, a loss or a PEFT module.

    Args:
        thing: Its docstring's Args say what each means.
        positional: Leading arguments that the configuration cannot set.
        prefix: Of the keys.
    """
    meanings = _documented(inspect.getdoc(thing) or "")
    for parameter in list(inspect.signature(thing, eval_str=True).parameters.values())[positional:]:
        needed = parameter.default is parameter.empty
        yield Row(
            prefix + parameter.name,
            "" if needed else _yaml(parameter.default),
            allowed(parameter.annotation),
            meanings.get(parameter.name, ""),
        )


def as_text(rows: Iterable[Row]) -> str:
    """For a terminal."""
    lines = []
    for row in rows:
        default = f" = {row.default}" if row.default else " (needed)"
        lines += [f"{row.key}{default}", f"    {row.allowed}"]
        lines += [f"    {row.meaning}"] if row.meaning else []
    return "\n".join(lines)


def as_markdown(rows: Iterable[Row]) -> str:
    """A table."""
    lines = ["| key | default | allowed | meaning |", "| --- | --- | --- | --- |"]
    for row in rows:
        default = f"`{row.default}`" if row.default else "needed"
        cells = (f"`{row.key}`", default, row.allowed, row.meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _yaml(value: object) -> str:
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, list | dict):
        return str(value).replace("'", "")
    if value == "":
        return '""'
    return dump_yaml({"x": value})[3:].strip()


def _documented(doc: str) -> dict[str, str]:
    """Argument -> what the section Args of a docstring says of it."""
    found: dict[str, str] = {}
    _, _, rest = doc.partition("Args:\n")
    names: list[str] = []
    for line in rest.split("\n"):
        if line and not line.startswith("    "):
            break
        start = re.match(r"    (\w[\w, ]*): (.*)", line)
        if start:
            names = start[1].split(", ")
            found |= dict.fromkeys(names, start[2])
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found
