# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Kaldi tables: text files of "key value" lines, sorted by key, one space, UTF-8.

Sorting is that of LC_ALL=C, the order of UTF-8 bytes. Python compares strings by code point, and
UTF-8 keeps code-point order, so plain `sorted()` is that order.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sertl.atomic import replacing
from sertl.errors import SertlError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def bad_key(key: str) -> str | None:
    """Say what is wrong with an utterance or speaker id, or return None."""
    if not key:
        return "is empty"
    if " " in key or not key.isprintable():  # blanks but the ASCII space are not printable
        return "holds a blank or an unprintable character"
    return None


@dataclass
class Scan:
    """What scan_table finds.

    Attributes:
        table: key to value; of a repeated key the first value.
        line: key to line number; empty where every line has its key: then the place in the table.
        problems: "file:line: what" for each deviation: encoding, line ends, blanks, repeated key,
            missing value, order.
    """

    table: dict[str, str] = field(default_factory=dict)
    line: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def scan_table(path: str | os.PathLike, ids: Iterable[str] = ()) -> Scan:
    """Read a "key value" file as far as it can be read, and list every problem of its lines.

    Args:
        path: The file.
        ids: Keys that it probably has, in order: the table then holds these very strings.
    """
    scan = Scan()
    if os.path.lexists(path) and not Path(path).is_file():
        scan.problems.append(f"{path}: no regular file; expected a text file")
        return scan
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        scan.problems.append(f"{path}: no such file")
        return scan
    except OSError as error:
        scan.problems.append(f"{path}: cannot be read ({error.strerror}); expected a text file")
        return scan
    if data.startswith(BYTE_ORDER_MARK):
        scan.problems.append(f"{path}:1: starts with a byte-order mark; save as plain UTF-8")
        data = data.removeprefix(BYTE_ORDER_MARK)
    clean = _clean(data, ids)
    if clean is not None:
        scan.table = clean
        return scan
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    else:
        scan.problems.append(f"{path}:{len(lines)}: the last line has no line end (cut short?)")
    previous = ""
    for number, raw in enumerate(lines, start=1):
        where = f"{path}:{number}"
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            scan.problems.append(f"{where}: not UTF-8 (byte {raw[error.start]:#04x}): {raw!r}")
            continue
        key, value = _split(line, where, scan.problems)
        if not key:
            continue
        if key in scan.table:
            scan.problems.append(f"{where}: repeated key '{key}', first in line {scan.line[key]}")
            continue
        scan.table[key], scan.line[key] = value, number
        if key < previous:
            scan.problems.append(
                f"{where}: '{key}' is not sorted, it comes after '{previous}' (LC_ALL=C sort)"
            )
        previous = key
    return scan


# What a clean table has nowhere: other blanks, two of them, one at the end of a line or its start
ODD = re.compile(rb"[\t\r\x00]|  | \n|\n |\n\n")
WRONG_IN_VALUE = re.compile(r"  |[\t\r\n]")
FEW = 4096  # values of a table that are kept once each, such as speakers and classes


def _clean(data: bytes, ids: Iterable[str]) -> dict[str, str] | None:
    """A table without any problem, or None: a tenth of the time, and most tables have none."""
    if not data.endswith(b"\n") or data[:1] in (b" ", b"\n") or ODD.search(data):
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    table: dict[str, str] = {}
    few: dict[str, str] = {}
    previous, known = "", iter(ids)
    for line in text.split("\n")[:-1]:
        key, _, value = line.partition(" ")
        same = next(known, None)
        key = same if same == key else key
        if not value or key <= previous or not key.isprintable():
            return None
        if len(few) < FEW:
            value = few.setdefault(value, value)
        else:
            value = few.get(value, value)
        table[key] = value
        previous = key
    return table


def _split(line: str, where: str, problems: list[str]) -> tuple[str, str]:
    """Split one line into key and value, adding what is wrong with its blanks to problems."""
    if line.endswith("\r"):
        problems.append(f"{where}: Windows line end; convert with dos2unix")
        line = line[:-1]
    if not line.strip():
        problems.append(f"{where}: blank line")
        return "", ""
    if "\t" in line:
        problems.append(f"{where}: tab where one space is expected: {line!r}")
        line = line.replace("\t", " ")
    if line != line.strip(" "):
        problems.append(f"{where}: blank at the start or the end of the line: {line!r}")
        line = line.strip(" ")
    if "  " in line:
        problems.append(f"{where}: more than one space in a row: {line!r}")
    key, _, value = line.partition(" ")
    if bad := bad_key(key):
        problems.append(f"{where}: key {key!r} {bad}")
    value = value.strip(" ")
    if not value:
        problems.append(f"{where}: key '{key}' has no value")
        return "", ""
    return key, value


def read_table(path: str | os.PathLike) -> dict[str, str]:
    """Read a "key value" file.

    Raises:
        SertlError: Naming the file and every line that is malformed, repeated or out of order.
    """
    scan = scan_table(path)
    if scan.problems:
        raise SertlError(listing(f"{path} is not a valid table", scan.problems))
    return scan.table


def write_table(path: str | os.PathLike, table: Mapping[str, str]) -> None:
    """Write a "key value" file in C order, atomically.

    Raises:
        SertlError: If a key or value could not be read back.
    """
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        for key in sorted(table):
            _check_line(path, key, table[key])
            stream.write(f"{key} {table[key]}\n")


def _check_line(path: str | os.PathLike, key: str, value: str) -> None:
    if bad := bad_key(key):
        raise SertlError(f"{path}: key {key!r} {bad}")
    good = value and value == value.strip(" ") and not WRONG_IN_VALUE.search(value)
    try:
        value.encode()  # a file name that is not UTF-8
    except UnicodeEncodeError:
        good = False
    if not good:
        raise SertlError(
            f"{path}: the value of '{key}' is {value!r}; expected UTF-8 words parted by one space"
        )


def listing(head: str, problems: list[str], limit: int = 200) -> str:
    """Join problems below a head line; a very long list is cut and the rest counted."""
    lines = [f"{head}: {len(problems)} problem{'s'[: len(problems) != 1]}"]
    lines += [f"  {problem}" for problem in problems[:limit]]
    if len(problems) > limit:
        lines.append(f"  … and {len(problems) - limit} more")
    return "\n".join(lines)
