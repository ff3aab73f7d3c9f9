# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Arrays in Kaldi ark files, addressed by scp files of "utt path:offset" lines.

Three kinds: matrices (T, D) of float32 (16-bit compressed by default), vectors of float32, vectors
of int32; everything else is refused at the first write, as Kaldi has no format for it.
"""

import os
import struct
from collections.abc import Iterable
from math import prod
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import kaldiio.matio
import numpy as np

from sertl.data.table import bad_key, read_table, write_table
from sertl.errors import SertlError

TWO_BYTE_AUTO = 3  # 16 bits between the smallest and largest value of a matrix; half of float32

# Start and elements of a vector of int32. kaldiio handles one element at a time, which is slow;
# training on frame labels reads them anew for each batch.
INTEGERS = b"\0B\4"
INTEGER = np.dtype([("bytes", "i1"), ("value", "<i4")])
# First bytes, layout of the sizes after them, bytes per element. Nothing else is read: kaldiio
# would also unpickle, and run a path that is a pipe.
FORMATS = (
    (b"\0BCM2 ", struct.Struct("<8xii"), 2),
    (b"\0BFM ", struct.Struct("<xixi"), 4),
    (b"\0BFV ", struct.Struct("<xi"), 4),
    (INTEGERS, struct.Struct("<i"), INTEGER.itemsize),
)
LONGEST_HEADER = 22


class ArkWriter:
    """Write arrays to `<prefix>.ark` and `<prefix>.scp`; both appear only when all is written.

    Args:
        prefix: Path without suffix, e.g. `dump/x/layer0/feats.3`. The scp holds it as given.
        compress: Store matrices with 16 bits; the error is at most 1/131070 of their range.
    """

    def __init__(self, prefix: str | os.PathLike, compress: bool = True):
        self.ark = f"{os.fspath(prefix)}.ark"
        self.scp = f"{os.fspath(prefix)}.scp"
        self.compress = compress
        folder, name = os.path.split(self.ark)
        # Without the process id, so that the next run overwrites what a killed one left.
        self._temporary = os.path.join(folder, f".{name}.tmp")
        self._places: dict[str, str] = {}

    def __enter__(self) -> "ArkWriter":
        Path(self.ark).parent.mkdir(parents=True, exist_ok=True)
        self._stream = open(self._temporary, "wb")
        return self

    def write(self, utt: str, array: np.ndarray) -> None:
        """Append one array.

        Raises:
            SertlError: On another kind of array, no elements, NaN or inf, a bad or repeated id.
        """
        if bad := bad_key(utt):
            raise SertlError(f"{self.ark}: utterance id {utt!r} {bad}")
        if utt in self._places:
            raise SertlError(f"{self.ark}: utterance '{utt}' is written twice")
        kind = (array.ndim, str(array.dtype))
        if kind not in ((2, "float32"), (1, "float32"), (1, "int32")):
            raise SertlError(
                f"{self.ark}: '{utt}' is a {array.dtype} array with {array.ndim} dimensions; "
                "an ark takes float32 with 1 or 2, or int32 with 1"
            )
        if array.size == 0:
            raise SertlError(f"{self.ark}: '{utt}' has no elements, shape {array.shape}")
        if not np.isfinite(array).all():
            count = int((~np.isfinite(array)).sum())
            raise SertlError(f"{self.ark}: '{utt}' has {count} values that are NaN or infinite")
        self._stream.write(f"{utt} ".encode())
        self._places[utt] = f"{self.ark}:{self._stream.tell()}"
        if array.dtype == np.int32:
            integers = np.empty(len(array), INTEGER)
            integers["bytes"], integers["value"] = array.itemsize, array
            self._stream.write(INTEGERS + struct.pack("<i", len(array)) + integers.tobytes())
            return
        method = TWO_BYTE_AUTO if self.compress and array.ndim == 2 else None
        kaldiio.matio.write_array(self._stream, array, compression_method=method)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._stream.close()
            if kind is None:
                os.replace(self._temporary, self.ark)
                write_table(self.scp, self._places)
        finally:
            Path(self._temporary).unlink(missing_ok=True)


def read_scp(path: str | os.PathLike) -> dict[str, str]:
    """Read an scp file: utterance to "ark:offset", in C order."""
    return read_table(path)


def read_array(spec: str, utt: str) -> np.ndarray:
    """Read one array.

    The file is opened for each call (2 microseconds on a local disk, against about 200 for a matrix
    of 225 x 768), so this is safe in any number of threads and forked processes.

    Args:
        spec: "path:offset" of an scp file; a relative path is relative to the working folder.
        utt: Id, which must stand before the offset.

    Returns:
        Writable array (T, D) float32, (N,) float32 or (N,) int32.

    Raises:
        SertlError: If the ark is missing, cut short, or not what the scp says.
    """
    path, _, digits = spec.rpartition(":")
    if not path or "\0" in path or not digits.isdecimal() or len(digits) > 18:
        raise SertlError(f"utterance '{utt}': {spec!r} is not an ark path, a colon and an offset")
    offset = int(digits)
    name = f"{utt} ".encode()
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, offset - len(name)))
            before = stream.read(min(offset, len(name)))
            header = stream.read(LONGEST_HEADER)
            size = _size(header)
            there = max(0, os.fstat(stream.fileno()).st_size - offset)
            whole = before == name and 0 < size <= there
            array = _decode(stream, offset, header) if whole else None
    except FileNotFoundError as error:
        where = "" if os.path.isabs(path) else f" (read from the folder {os.getcwd()})"
        raise SertlError(f"utterance '{utt}': no ark file {path}{where}") from error
    except OSError as error:
        raise SertlError(f"utterance '{utt}': {path} cannot be read: {error.strerror}") from error
    if len(header) == 0 or size > there:
        raise SertlError(
            f"{path} is truncated: utterance '{utt}' at offset {offset} needs {size or 'some'} "
            f"bytes, {there} are there; delete the folder and run its stage again"
        )
    if array is None:
        raise SertlError(
            f"{path}: at offset {offset} there is no array of utterance '{utt}'; the ark and its "
            "scp are not from the same run, or it holds another format: run its stage again"
        )
    return array


def _size(header: bytes) -> int:
    """Bytes of an array with its header; 0 if the format is not one of FORMATS."""
    for start, layout, width in FORMATS:
        if header.startswith(start):
            if len(header) < len(start) + layout.size:
                return LONGEST_HEADER  # more than there is: truncated
            sizes = layout.unpack_from(header, len(start))
            return len(start) + layout.size + width * prod(sizes) if min(sizes) > 0 else 0
    return 0


def _decode(stream: BinaryIO, offset: int, header: bytes) -> np.ndarray:
    """The array at an offset, of one of FORMATS and whole."""
    if header.startswith(INTEGERS):
        (count,) = struct.unpack_from("<i", header, len(INTEGERS))
        stream.seek(offset + len(INTEGERS) + 4)
        stored = np.frombuffer(stream.read(count * INTEGER.itemsize), INTEGER)
        return stored["value"].astype(np.int32)
    # From the file itself: out of a copy in memory it takes several times as long.
    stream.seek(offset)
    array = kaldiio.matio.read_matrix_or_vector(stream)
    return array if array.flags.writeable else array.copy()


def merge_scp(
    parts: Iterable[str | os.PathLike], out_scp: str | os.PathLike, expected_ids: Iterable[str]
) -> None:
    """Join the scp files of several arks into one.

    Args:
        parts: scp files.
        out_scp: File to write, in C order.
        expected_ids: Exactly the utterances that must be there.

    Raises:
        SertlError: Naming utterances that are missing, not expected, or in two parts.
    """
    merged: dict[str, str] = {}
    for part in parts:
        table = read_scp(part)
        if twice := sorted(merged.keys() & table.keys()):
            raise SertlError(
                f"{part}: {_some(twice)} also in another part ({merged[twice[0]]}); "
                "delete the folder and run its stage again"
            )
        merged |= table
    expected = set(expected_ids)
    missing, extra = sorted(expected - merged.keys()), sorted(merged.keys() - expected)
    if missing or extra:
        raise SertlError(
            f"{out_scp}: {len(merged)} utterances written, {len(expected)} expected"
            + (f"; missing: {_some(missing)}" if missing else "")
            + (f"; not expected: {_some(extra)}" if extra else "")
        )
    write_table(out_scp, merged)


def _some(ids: list[str]) -> str:
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return ", ".join(ids[:5]) + more
