# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Recordings inside tar files: `<file>.tar:<offset>+<bytes>` wherever the path of one may stand.

Millions of small files are slow on shared disks and object stores; shards of a gigabyte are not. An
offset leads to a recording without reading what is before it.
"""

import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MEMBER = re.compile(r"(?P<tar>.+\.tar):(?P<start>\d{1,18})\+(?P<size>\d{1,18})")


@dataclass(frozen=True)
class Member:
    """Where a recording is.

    Attributes:
        tar: The tar file, uncompressed.
        start: Of its first byte.
        size: In bytes.
    """

    tar: str
    start: int
    size: int

    def __str__(self) -> str:
        return f"{self.tar}:{self.start}+{self.size}"


def member_of(path: str | os.PathLike) -> Member | None:
    """The place inside a tar file that a path names; None for a file of its own."""
    found = MEMBER.fullmatch(str(path))
    return Member(found["tar"], int(found["start"]), int(found["size"])) if found else None


def open_recording(path: str | os.PathLike) -> BinaryIO:
    """The bytes of a recording, to read and seek in; fewer than it should have if it is cut short.

    Raises:
        OSError: As open() does.
    """
    member = member_of(path)
    if member is None:
        return open(path, "rb")
    return io.BufferedReader(_Window(open(member.tar, "rb", buffering=0), member))


def recording_stat(path: str | os.PathLike) -> tuple[int, int]:
    """Bytes of a recording, and when it, or the tar file around it, was last changed (ns).

    Raises:
        OSError: As os.stat does.
    """
    member = member_of(path)
    found = os.stat(path if member is None else member.tar)
    return found.st_size if member is None else member.size, found.st_mtime_ns


def is_recording(path: str | os.PathLike) -> bool:
    """Whether there is a regular file."""
    member = member_of(path)
    return Path(path if member is None else member.tar).is_file()


class _Window(io.RawIOBase):
    """A part of a file, as a file."""

    def __init__(self, file: io.FileIO, member: Member) -> None:
        self._file, self._start, self._place = file, member.start, 0
        held = os.fstat(file.fileno()).st_size - member.start
        self._size = max(0, min(member.size, held))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        wanted = min(len(buffer), max(0, self._size - self._place))
        found = os.pread(self._file.fileno(), wanted, self._start + self._place)
        buffer[: len(found)] = found
        self._place += len(found)
        return len(found)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise OSError("a place before the beginning")
        self._place = origin + offset
        return self._place

    def close(self) -> None:
        self._file.close()
        super().close()
