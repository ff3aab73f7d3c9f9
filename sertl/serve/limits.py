# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a server takes: sizes, lengths, times, and who may ask."""

import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

import soundfile
from fastapi import HTTPException, Request, UploadFile

from sertl.data.audio import open_audio
from sertl.errors import SertlError

CHUNK = 1 << 16  # bytes


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Attributes:
        upload_mib: Of a file.
        request_mib: Of all that a request holds.
        clip_sec: Of a clip to predict as a whole.
        recording_sec: Of a recording to make a timeline of.
        files: Of one request.
        timeout_sec: Until a prediction must be there.
        streams: Open at a time.
        timelines: Made at a time.
        token: That requests must bear; "" for none.
    """

    upload_mib: float = 50.0
    request_mib: float = 200.0
    clip_sec: float = 60.0
    recording_sec: float = 600.0
    files: int = 32
    timeout_sec: float = 60.0
    streams: int = 8
    timelines: int = 4
    token: str = ""


def authorised(given: str | None, limits: Limits) -> bool:
    """Whether an Authorization header bears the token."""
    if not limits.token:
        return True
    return secrets.compare_digest((given or "").encode(), f"Bearer {limits.token}".encode())


async def check_size(request: Request) -> None:
    """Refuse a body before it is read: larger than a request may be (413), of no length (411)."""
    if request.method != "POST":
        return
    most = request.app.state.limits.request_mib
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        raise HTTPException(411, "a request must say its Content-Length")
    if int(length) > most * 2**20:
        raise HTTPException(413, f"a request is larger than {most:g} MiB")


async def check_token(request: Request) -> None:
    """Refuse requests without the token (401)."""
    if not authorised(request.headers.get("authorization"), request.app.state.limits):
        raise HTTPException(401, "this server wants 'Authorization: Bearer TOKEN'")


async def keep(upload: UploadFile, folder: Path, limits: Limits) -> Path:
    """Write an upload to a folder, as far as it is allowed to be large.

    Raises:
        HTTPException: 413 too large, 422 empty.
    """
    handle, name = tempfile.mkstemp(dir=folder, suffix=_suffix(upload.filename))
    size, most = 0, int(limits.upload_mib * 2**20)
    try:
        with open(handle, "wb") as stream:
            while chunk := await upload.read(CHUNK):
                size += len(chunk)
                if size > most:
                    raise HTTPException(413, f"a file is larger than {limits.upload_mib:g} MiB")
                stream.write(chunk)
        if not size:
            raise HTTPException(422, f"{upload.filename or 'the file'}: empty")
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _suffix(name: str | None) -> str:
    suffix = Path(name or "").suffix.lower()
    return suffix if suffix[1:].isalnum() and len(suffix) <= 6 else ""


def check_length(path: Path, name: str, most_sec: float) -> float:
    """Seconds of a file, from its header.

    Raises:
        HTTPException: 422 no audio, 413 too long.
    """
    try:
        with open_audio(path) as file:
            sec = file.frames / file.samplerate
    except (SertlError, soundfile.SoundFileError, RuntimeError) as error:
        reason = str(error).replace(str(path), name)
        raise HTTPException(422, f"{reason}") from error
    if sec > most_sec:
        raise HTTPException(
            413, f"{name} has {sec:.0f} s; this server takes {most_sec:g} s at most"
        )
    return sec
