# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Damage to good files and odd values for keys; all of it follows from the generator given."""

import json
import random
import re
from pathlib import Path

CANARY = "sertl_campaign_was_here"  # a file of this name says that something was executed
WORDS = [
    "",
    " ",
    "\x00",
    "null",
    "-1",
    "0",
    "1e400",
    ".nan",
    "99999999999999999999999",
    "../../../etc/passwd",
    "é" * 9,
    "a" * 5000,
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    f"; touch {CANARY}",
    f"| touch {CANARY} |",
    f"!!python/object/apply:os.system ['touch {CANARY}']",
    "[[[[[[[[",
    "{a: {b: {c: [1, 2, {d: e}]}}}",
    "*anchor",
    "%TAG",
]
VALUES = [None, True, False, -1, 0, 1, 3, 10**12, -(10**30), 0.5, 1e308, float("nan")]
VALUES += [float("inf"), "", "x", "all", "none", [], [1], [None], [[1]], {}, {"a": 1}, {"": []}]
VALUES += WORDS[9:13]


def damaged_bytes(content: bytes, rng: random.Random) -> bytes:
    """One kind of damage to a file's bytes."""
    size = len(content)
    at = rng.randrange(size + 1)
    kind = rng.randrange(8)
    if kind == 0:
        return content[:at]
    if kind == 1:
        return b""
    if kind == 2 and size:
        flipped = bytearray(content)
        for _ in range(rng.randint(1, 8)):
            flipped[rng.randrange(size)] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    if kind == 3:
        return (
            content[:at]
            + bytes(rng.randrange(256) for _ in range(rng.randint(1, 40)))
            + content[at:]
        )
    if kind == 4:
        return content + content[:at]
    if kind == 5:
        length = rng.randint(1, 64)
        return content[:at] + content[at + length :]
    if kind == 6:
        length = rng.randint(1, 64)
        return content[:at] + b"\x00" * min(length, size - at) + content[at + length :]
    head = rng.choice([b"\xff\xfe", b"\x1f\x8b", b"PK\x03\x04", b"RIFF", b"\x80\x04", b"<html>"])
    return head + content[at:]


def damaged_text(text: str, rng: random.Random) -> bytes:
    """One kind of damage to lines and words."""
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    words = re.split(r"(\s+|[:=,])", lines[at])
    word = rng.randrange(len(words))
    kind = rng.randrange(7)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, lines[rng.randrange(len(lines))])
    elif kind == 2:
        words[word] = rng.choice(WORDS)
        lines[at] = "".join(words)
    elif kind == 3:
        del words[word]
        lines[at] = "".join(words)
    elif kind == 4:
        rng.shuffle(lines)
    elif kind == 5:
        lines[at] = " " * rng.randint(1, 5) + lines[at]
    else:
        return damaged_bytes(text.encode(), rng)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def damaged_json(text: str, rng: random.Random) -> bytes:
    """A key gone, added, or of another value; else as text."""
    if rng.random() < 0.3:
        return damaged_text(text, rng)
    try:
        value = json.loads(text)
    except ValueError:
        return damaged_text(text, rng)
    return json.dumps(damaged_value(value, rng)).encode()


def damaged_value(value: object, rng: random.Random) -> object:
    """One place of nested data changed."""
    if rng.random() < 0.05 or not isinstance(value, dict | list) or not value:
        return rng.choice(VALUES)
    if isinstance(value, dict):
        key = rng.choice(list(value))
        kind = rng.randrange(5)
        if kind == 0:
            return {k: v for k, v in value.items() if k != key}
        if kind == 1:
            return {**value, rng.choice([key + "x", key[:-1], "", "new"]): rng.choice(VALUES)}
        return {**value, key: damaged_value(value[key], rng)}
    at = rng.randrange(len(value))
    return value[:at] + [damaged_value(value[at], rng)] + value[at + 1 :]


def damage(path: Path, rng: random.Random) -> str:
    """Damage a file in place; returns what was done, in a word."""
    kind = rng.random()
    if kind < 0.02:
        path.unlink()
        path.mkdir()
        return "a directory"
    if kind < 0.04:
        path.unlink()
        path.symlink_to(path.parent / "nowhere")
        return "a dangling link"
    if kind < 0.06:
        path.unlink()
        return "missing"
    content = path.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        path.write_bytes(damaged_bytes(content, rng))
        return "bytes"
    if path.suffix in (".json", ".jsonl"):
        path.write_bytes(damaged_json(text, rng))
        return "JSON"
    path.write_bytes(damaged_text(text, rng))
    return "text"
