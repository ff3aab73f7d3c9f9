# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Lines, and utterance vectors, of many recordings: written as they come, resumed after a kill."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from sertl.atomic import replacing, write_json, write_text
from sertl.data.ark import ArkWriter
from sertl.errors import SertlError

HEADER = 8  # bytes before the vectors: their number of dimensions


class Output:
    """Lines to a file or to standard output.

    A file appears under its name when all is written; until then `<name>.partial` grows, and the
    same command goes on after its last whole line.

    Args:
        path: File, or "" for standard output, which cannot be resumed.
        key: What the lines depend on; a partial file with another key is started anew.
        utt_of: Id that a line is of.
        vectors: Where utterance vectors go (see write_vectors), or "".
    """

    def __init__(self, path: str, key: dict, utt_of: Callable[[str], str], vectors: str = ""):
        self.path, self.key, self.utt_of, self.vectors = path, key, utt_of, vectors
        self.done: list[str] = []  # ids, in the order of their lines
        self._size = 0
        self._rows: list[np.ndarray] = []

    @property
    def partial(self) -> Path:
        return Path(f"{self.path}.partial")

    @property
    def _about(self) -> Path:
        return Path(f"{self.path}.partial.json")

    @property
    def _spool(self) -> Path:
        return Path(f"{self.path}.partial.vectors")

    def __enter__(self) -> "Output":
        self._lines: IO[str] = sys.stdout
        self._stream: IO[bytes] | None = None
        if not self.path:
            return self
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        if self._same():
            self._take_up()
        else:
            self._clear()
            write_json(self._about, self.key)
        self._open()
        return self

    def _open(self) -> None:
        self._lines = open(self.partial, "a", encoding="utf-8")
        if self.vectors:
            self._stream = open(self._spool, "ab")

    def _clear(self) -> None:
        self.partial.write_bytes(b"")
        if self.vectors:
            self._spool.write_bytes(b"")
        self.done, self._size = [], 0

    def restart(self) -> None:
        """Drop what an earlier run has written: this one cannot go on from it."""
        self._close()
        self._clear()
        self._open()

    def _close(self) -> None:
        self._lines.close()
        if self._stream is not None:
            self._stream.close()

    def _same(self) -> bool:
        try:
            return json.loads(self._about.read_text("utf-8")) == self.key and self.partial.is_file()
        except (OSError, ValueError):
            return False

    def _take_up(self) -> None:
        """Cut a line that is not whole, and the vectors that have no line."""
        content = self.partial.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        self.done = [self.utt_of(line) for line in whole.decode().split("\n")[:-1]]
        if self.vectors:
            with open(self._spool, "a+b") as stream:
                stream.seek(0)
                start = stream.read(HEADER)
                self._size = int.from_bytes(start, "little") if len(start) == HEADER else 0
                rows = (stream.seek(0, 2) - HEADER) // (4 * self._size) if self._size else 0
                rows = min(rows, len(self.done))
                stream.truncate(HEADER + 4 * self._size * rows if rows else 0)
            self._size = self._size if rows else 0
            self.done = self.done[:rows]
            whole = b"".join(line + b"\n" for line in whole.split(b"\n")[:rows])
        with open(self.partial, "r+b") as stream:
            stream.truncate(len(whole))

    def write(self, utt: str, line: str, vector: np.ndarray | None = None) -> None:
        """Append a recording's line, after its vector."""
        if vector is not None:
            if self._stream is None:
                self._rows.append(vector)
            else:
                if not self._size:
                    self._size = len(vector)
                    self._stream.write(self._size.to_bytes(HEADER, "little"))
                self._stream.write(vector.astype("<f4").tobytes())
                self._stream.flush()
        self._lines.write(line)
        self.done.append(utt)

    def flush(self) -> None:
        """Hand what was written to the system."""
        self._lines.flush()

    def __exit__(self, kind, error, trace) -> None:
        if self.path:
            self._close()
        if kind is not None:
            return
        if self.vectors:
            rows = np.array(self._rows, dtype=np.float32)
            if self._stream is not None:
                rows = np.fromfile(self._spool, "<f4", offset=HEADER) if self.done else rows
                rows = rows.reshape(len(self.done), -1)
            write_vectors(self.vectors, self.done, rows)
        if self.path:
            self.partial.replace(self.path)
            for rest in (self._about, self._spool):
                rest.unlink(missing_ok=True)


def write_vectors(path: str, utts: Sequence[str], rows: np.ndarray) -> None:
    """Write utterance vectors.

    Args:
        path: NAME.npy, beside which NAME.ids has the id of each row; or NAME.ark, beside which
            NAME.scp points into it.
        utts: N ids.
        rows: (N, P) float32.

    Raises:
        SertlError: Another kind of name; for ark, ids with spaces or twice.
    """
    target = Path(path)
    if target.suffix == ".ark":
        with ArkWriter(target.with_suffix("")) as writer:
            for utt, row in zip(utts, rows, strict=True):
                writer.write(utt, np.ascontiguousarray(row))
    elif target.suffix == ".npy":
        with replacing(target) as temporary, open(temporary, "wb") as stream:
            np.save(stream, rows)
        write_text(target.with_suffix(".ids"), "".join(f"{utt}\n" for utt in utts))
    else:
        raise SertlError(f"--embeddings {path}: expected a name that ends with .npy or .ark")
