# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Files that are either whole or absent: written under a temporary name, then renamed."""

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = re.sub(r"[^A-Za-z0-9]+", "_", socket.gethostname()) or "host"
LEFT_OVER = re.compile(r"\..+\.tmp-(\w+)-(\d+)")
OLD_SEC = 86400.0  # after so long, what another machine left is left over too


def sweep(folder: str | os.PathLike) -> None:
    """Delete the temporary files in a folder whose processes are gone."""
    try:
        entries = [e for e in os.scandir(folder) if e.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        found = LEFT_OVER.fullmatch(entry.name)
        if found and entry.is_file(follow_symlinks=False):
            here = found[1] == HOST
            if not _alive(int(found[2])) if here else time.time() - entry.stat().st_mtime > OLD_SEC:
                Path(entry.path).unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside path; rename it to path on success, delete it on failure."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{HOST}-{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is None:  # as when a write finds the disk full
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write bytes atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | os.PathLike, value: object) -> None:
    """Write indented JSON atomically; keys keep their order."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
