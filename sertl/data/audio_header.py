# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""How much audio a header promises: libsndfile reads a file that was cut short without a word.

WAV, AIFF, AU, CAF, W64 and Ogg; other formats are left to libsndfile.
"""

import os
import struct
from typing import BinaryIO

from sertl.errors import SertlError

STREAMED_SIZES = (0, 0x7FFFFFFF, 0xFFFFFFFF)  # placeholders of programs that write WAV to a pipe
W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")


class BadAudio(SertlError):
    """An audio file that cannot be used as it is."""


def check_promise(stream: BinaryIO) -> None:
    """Compare the size of the samples in the header with the size of the file.

    Raises:
        BadAudio: If the file is empty, a Git LFS pointer, or cut short.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    head = stream.read(32)
    if size == 0:
        raise BadAudio("an empty file (0 bytes)")
    if head.startswith(b"version http"):
        raise BadAudio("a Git LFS pointer, not audio; fetch the content with `git lfs pull`")
    promised, held = _promised(stream, head, size)
    if promised > held:
        raise BadAudio(
            f"truncated: the header promises {promised} bytes of audio, the file holds {held}; "
            "copy it again"
        )
    if head[:4] == b"OggS" and _ogg_without_end(stream):
        raise BadAudio("truncated: Ogg without its last page; copy it again")


def _promised(stream: BinaryIO, head: bytes, size: int) -> tuple[int, int]:
    """Bytes of audio promised and bytes present; (0, 0) if not known."""
    if head[:4] == b"FORM" and len(head) >= 12:
        return struct.unpack(">I", head[4:8])[0], size - 8
    if head[:4] == b".snd" and len(head) >= 12:
        start, length = struct.unpack(">II", head[4:12])
        return (0, 0) if length == 0xFFFFFFFF else (length, size - start)
    if head[:4] == b"caff":
        return _in_chunks(stream, size, 8, ">4sq", b"data", 0)
    if head[:16] == W64_RIFF:
        return _in_chunks(stream, size, 40, "<16sq", W64_DATA, 24)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        promised, held = _in_chunks(stream, size, 12, "<4sI", b"data", 0)
        return (0, 0) if promised in STREAMED_SIZES else (promised, held)
    return 0, 0


def _in_chunks(
    stream: BinaryIO, size: int, start: int, layout: str, wanted: bytes, own: int
) -> tuple[int, int]:
    """Size of the wanted chunk and bytes present of it.

    Args:
        stream, size: The file.
        start: Where the first chunk begins.
        layout: Of a chunk's header: name, size.
        wanted: Name.
        own: Bytes of the header that its size counts (W64, whose chunks begin at multiples of 8).
    """
    place, header = start, struct.calcsize(layout)
    while place + header <= size:
        stream.seek(place)
        name, length = struct.unpack(layout, stream.read(header))
        if name == wanted:
            return (0, 0) if length < 0 else (length - own, size - place - header)
        if length < own:
            break
        place += length if own else header + length
        place += -place % 8 if own else (length % 2 if layout.endswith("I") else 0)
    kind = "WAV " if layout.endswith("I") else ""
    raise BadAudio(f"truncated: a {kind}header without audio data; copy it again")


def _ogg_without_end(stream: BinaryIO) -> bool:
    """Whether the last page of an Ogg file is cut or not marked as such.

    A page is OggS, a version, a byte of flags, 20 more bytes, the number of its segments, their
    sizes, and the segments: at most 65,307 bytes (RFC 3533).
    """
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - 65307))
    tail = stream.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < 27 or not page[5] & 4:
        return True
    sizes = page[27 : 27 + page[26]]
    return len(page) < 27 + page[26] + sum(sizes)
