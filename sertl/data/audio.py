# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Read any audio file that libsndfile knows as 16 kHz mono float32; refuse broken ones; hash them.

WAV, AIFF, FLAC, Ogg; 8, 16, 24, 32 bit and float; any rate; any number of channels.
"""

import hashlib
import io
import os
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import gcd
from pathlib import Path

import numpy as np
import soundfile

from sertl.data.audio_header import BadAudio, check_promise
from sertl.data.resampling import resample
from sertl.data.table import listing
from sertl.data.tar_members import member_of, open_recording
from sertl.errors import SertlError

SAMPLE_RATE = 16000
SILENT_PEAK = 1e-4  # -80 dB; one step of 16-bit audio is 3e-5
SAMPLED_BYTES = 16384  # of audio_hash: at the start, middle and end of each recording
RATES = (1000, 768_000)  # Hz
MOST_CHANNELS = 64
LONGEST_SEC = 24 * 3600.0
SLOWEST_SEC = 600.0  # beyond its duration, that reading a file may take: a disk that hardly answers
BLOCK = 1 << 22  # samples: a header that lies about the length must not fill the memory


@dataclass
class AudioFacts:
    """What inspect_audio finds in a file.

    Attributes:
        dur_sec: Duration in seconds; 0 if the file cannot be decoded.
        sample_rate: Rate of the file in Hz.
        channels: Number of channels.
        problems: What makes the file unusable; empty if it is fine.
        sha1: Hash of the decoded samples: equal for copies with other names or headers.
    """

    dur_sec: float = 0.0
    sample_rate: int = 0
    channels: int = 0
    problems: list[str] = field(default_factory=list)
    sha1: str = ""


def read_audio(path: str | os.PathLike, utt: str | None = None) -> np.ndarray:
    """Read a whole file as 16 kHz mono.

    Args:
        path: Audio file, or a place in a tar file (data/tar_members.py); a Kaldi pipe is not
            supported and never executed.
        utt: Utterance id for the error message.

    Returns:
        (N,) float32, channels averaged, resampled with a polyphase filter where needed.

    Raises:
        SertlError: If the file is missing, empty, cut short, not audio, or holds NaN or inf.
    """
    try:
        samples, rate = _decode(path)
    except BadAudio as error:
        raise SertlError(f"{f'utterance {utt}: ' if utt else ''}{path}: {error}") from error
    wav = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        common = gcd(rate, SAMPLE_RATE)
        wav = resample(wav, SAMPLE_RATE // common, rate // common)
    return np.ascontiguousarray(wav, dtype=np.float32)


def check_audio(path: str | os.PathLike, utt: str | None = None) -> tuple[float, list[str]]:
    """Decode a file for data preparation.

    Returns:
        Duration in seconds and the problems found, each naming utt (if given) and path: those for
        which read_audio raises, and silence.
    """
    facts = inspect_audio(path)
    head = f"{utt} {path}" if utt else f"{path}"
    return facts.dur_sec, [f"{head}: {problem}" for problem in facts.problems]


def inspect_audio(path: str | os.PathLike) -> AudioFacts:
    """Decode a file and return everything data preparation wants to know; never raises for it."""
    try:
        samples, rate = _decode(path)
    except BadAudio as error:
        return AudioFacts(problems=[str(error)])
    facts = AudioFacts(len(samples) / rate, rate, samples.shape[1])
    facts.sha1 = hashlib.sha1(samples.tobytes(), usedforsecurity=False).hexdigest()
    # Of the mono mix, because that is what is used: opposite channels cancel out.
    peak = float(np.abs(samples.mean(axis=1)).max())
    if peak < SILENT_PEAK:
        facts.problems.append(f"silent (largest sample {peak:.1e}, expected above {SILENT_PEAK})")
    return facts


def check_sample_rate(rate: object) -> None:
    """Refuse a rate that no audio has.

    Raises:
        SertlError: Naming it.
    """
    if isinstance(rate, bool) or not RATES[0] <= rate <= RATES[1]:
        raise SertlError(f"sample_rate is {rate!r}, expected {RATES[0]:,} to {RATES[1]:,} Hz")


def open_audio(path: str | os.PathLike) -> soundfile.SoundFile:
    """Open a file, undecoded; refuse one that is no audio or holds less than its header promises.

    Raises:
        SertlError: Naming the file.
    """
    try:
        return _open(path)
    except BadAudio as error:
        raise SertlError(f"{path}: {error}") from error


def _open(path: str | os.PathLike) -> soundfile.SoundFile:
    """The file, opened; BadAudio does not name it."""
    name = str(path).strip()
    if name.startswith("|") or name.endswith("|"):
        raise BadAudio("a shell pipe; pipes are not read or executed, write the audio to files")
    if "\0" in name:
        raise BadAudio("no name of a file, which holds no null character")
    member = member_of(path)
    place = Path(path if member is None else member.tar)
    try:
        mode = os.stat(place).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise BadAudio("no regular file but a pipe, socket or device")
        with open_recording(path) as stream:
            check_promise(stream)
            stream.seek(0)
            content = place if member is None else io.BytesIO(stream.read())
        file = soundfile.SoundFile(content)
    except FileNotFoundError as error:
        raise BadAudio("no such file") from error
    except IsADirectoryError as error:
        raise BadAudio("a directory, expected an audio file") from error
    except OSError as error:
        raise BadAudio(f"cannot be read ({error.strerror})") from error
    except soundfile.SoundFileError as error:
        raise BadAudio(f"cannot be decoded, damaged or not audio ({_reason(error)})") from error
    except (TypeError, ValueError, RuntimeError) as error:  # raw samples
        raise BadAudio(f"cannot be decoded, no audio with a header ({error})") from error
    try:
        _check_facts(file)
    except BadAudio:
        file.close()
        raise
    return file


def _check_facts(file: soundfile.SoundFile) -> None:
    """Refuse what no recording of speech is, before memory is taken for it."""
    if file.frames == 0:
        raise BadAudio("holds a header but no samples")
    if not RATES[0] <= file.samplerate <= RATES[1]:
        raise BadAudio(f"a rate of {file.samplerate} Hz; expected {RATES[0]} to {RATES[1]}")
    if file.channels > MOST_CHANNELS:
        raise BadAudio(f"{file.channels} channels; at most {MOST_CHANNELS} are averaged")
    if file.frames > LONGEST_SEC * file.samplerate:
        hours = file.frames / file.samplerate / 3600
        raise BadAudio(
            f"{hours:.0f} hours by its header; at most {LONGEST_SEC / 3600:.0f} are read"
        )


def _decode(path: str | os.PathLike) -> tuple[np.ndarray, int]:
    """Return (N, channels) float32 and the rate in Hz; BadAudio does not name the file."""
    try:
        with _open(path) as file:
            rate, frames = file.samplerate, file.frames
            samples = _read(file)
    except soundfile.SoundFileError as error:
        raise BadAudio(f"cannot be decoded, damaged or not audio ({_reason(error)})") from error
    if len(samples) < frames:
        raise BadAudio(
            f"truncated: the header promises {frames} samples of audio, the file holds "
            f"{len(samples)}; copy it again"
        )
    if len(samples) == 0:
        raise BadAudio("holds a header but no samples")
    if not np.isfinite(samples).all():
        count = int((~np.isfinite(samples)).sum())
        raise BadAudio(f"{count} samples are NaN or infinite")
    return samples, rate


def _read(file: soundfile.SoundFile) -> np.ndarray:
    """(N, channels): all that is there, in blocks where the header promises much."""
    if file.frames * file.channels <= BLOCK:
        return file.read(dtype="float32", always_2d=True)
    step = max(1, BLOCK // file.channels)
    blocks = []
    limit = SLOWEST_SEC + file.frames / file.samplerate
    begun = time.monotonic()
    while len(block := file.read(step, dtype="float32", always_2d=True)):
        blocks.append(block)
        if time.monotonic() - begun > limit:
            done = sum(map(len, blocks)) / file.frames
            raise BadAudio(f"{100 * done:.0f} % read after {limit:.0f} s; is its disk in order?")
    return np.concatenate(blocks) if blocks else np.zeros((0, file.channels), np.float32)


def _reason(error: soundfile.SoundFileError) -> str:
    """libsndfile's own words, without the file name that soundfile puts before them."""
    return getattr(error, "error_string", str(error)).rstrip(".")


def audio_hash(utts: Iterable) -> str:
    """Hash of the recordings of utterances, by which a stage knows whether it has read them: id,
    duration, size and three samples of their bytes.

    Paths and times of change are left out, so that a corpus may be moved or copied. Cleaning,
    amplifying or re-coding a recording is noticed; an edit of a few samples elsewhere is not, which
    is the price of not reading the whole corpus on each call.

    Raises:
        SertlError: Listing every recording that cannot be read.
    """
    digest, problems = hashlib.sha256(), []
    for utt in sorted(utts, key=lambda u: u.utt):
        try:
            with open_recording(utt.wav) as stream:
                size = stream.seek(0, os.SEEK_END)
                digest.update(f"{utt.utt} {utt.dur_sec:.3f} {size}\n".encode())
                for place in (0, size // 2, size - SAMPLED_BYTES):
                    stream.seek(max(0, place))
                    digest.update(stream.read(SAMPLED_BYTES))
        except OSError as error:
            problems.append(f"utterance {utt.utt}: {utt.wav}: {error.strerror}")
    if problems:
        raise SertlError(listing("recordings cannot be read", problems, limit=20))
    return digest.hexdigest()[:16]
