# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Parts of longer recordings as files of their own, cut once."""

from pathlib import Path

import soundfile

from sertl.atomic import replacing
from sertl.errors import SertlError

SHORTEST_SEC = 0.01


def clip_of(wav: Path, start: float, end: float | None, out: Path) -> Path:
    """Write the part of a recording from start to end, in seconds, at its own rate.

    A clip that is there and no older than the recording is kept.

    Args:
        wav: The recording.
        start: Where the part begins.
        end: Where it ends; None: at the end of the recording.
        out: File to write, 16-bit WAV, with its folder.

    Returns:
        out.

    Raises:
        SertlError: A recording that cannot be read, or a part outside it.
    """
    if out.is_file() and wav.is_file() and out.stat().st_mtime_ns >= wav.stat().st_mtime_ns:
        return out
    if not wav.is_file():
        raise SertlError(f"{wav}: no such file")
    try:
        with soundfile.SoundFile(wav) as file:
            rate, length = file.samplerate, len(file)
            first = round(start * rate)
            last = length if end is None else min(length, round(end * rate))
            if last - first < SHORTEST_SEC * rate:
                raise SertlError(
                    f"{wav}: no part from {start:g} to {'its end' if end is None else f'{end:g}'} "
                    f"s; it is {length / rate:.2f} s long"
                )
            file.seek(first)
            samples = file.read(last - first, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise SertlError(f"{wav}: cannot be decoded ({error})") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        soundfile.write(temporary, samples, rate, subtype="PCM_16", format="WAV")
    return out
