# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Audio: formats, rates, channels, and every kind of broken file."""

import os
import struct

import numpy as np
import pytest
import soundfile

from sertl.data import audio
from sertl.data.audio import SAMPLE_RATE, check_audio, inspect_audio, read_audio
from sertl.errors import SertlError


def tone(rate: int, sec: float = 0.5, hz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(rate * sec)) / rate)


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("x.wav", "PCM_U8", 1 / 128),
        ("x.wav", "PCM_16", 1 / 32768),
        ("x.WAV", "PCM_24", 1e-6),
        ("x.wav", "PCM_32", 1e-6),
        ("x.wav", "FLOAT", 1e-7),
        ("x.wav", "DOUBLE", 1e-7),
        ("x.flac", "PCM_16", 1 / 32768),
        ("x.flac", "PCM_24", 1e-6),
        ("with blank ü.aiff", "PCM_16", 1 / 32768),
    ],
)
def test_formats(tmp_path, name, subtype, tolerance):
    expected = tone(16000)
    soundfile.write(tmp_path / name, expected, 16000, subtype=subtype)
    wav = read_audio(tmp_path / name)
    assert wav.dtype == np.float32 and wav.shape == (8000,) and wav.flags.c_contiguous
    np.testing.assert_allclose(wav, expected, atol=tolerance)


@pytest.mark.parametrize("rate", [8000, 22050, 24000, 24414, 44100, 48000])
def test_resampling_keeps_duration_and_pitch(tmp_path, rate):
    soundfile.write(tmp_path / "x.wav", tone(rate), rate)
    wav = read_audio(tmp_path / "x.wav")
    assert abs(len(wav) - 8000) <= 1
    n = min(len(wav), 8000) - 400
    np.testing.assert_allclose(wav[400:n], tone(SAMPLE_RATE)[400:n], atol=2e-3)
    dur_sec, found = check_audio(tmp_path / "x.wav")
    assert dur_sec == pytest.approx(0.5, abs=1e-4) and found == []


def test_channels_are_averaged(tmp_path):
    soundfile.write(tmp_path / "x.wav", np.tile([0.5, 0.25], (100, 1)), 16000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "x.wav"), 0.375)
    assert inspect_audio(tmp_path / "x.wav").channels == 2


def wav_bytes(tmp_path, **options) -> bytes:
    path = tmp_path / "good.wav"
    soundfile.write(path, tone(16000), 16000, **options)
    return path.read_bytes()


def broken(kind: str, tmp_path) -> bytes | None:
    good = wav_bytes(tmp_path)
    if kind == "flac":
        soundfile.write(tmp_path / "good.flac", tone(16000), 16000)
        return (tmp_path / "good.flac").read_bytes()[:2000]
    if kind == "nan":
        samples = tone(16000)
        samples[[3, 5]] = np.nan, np.inf
        soundfile.write(tmp_path / "nan.wav", samples, 16000, subtype="FLOAT")
        return (tmp_path / "nan.wav").read_bytes()
    return {
        "empty": b"",
        "cut": good[:5000],
        "one byte short": good[:-1],
        "header only": good[:44],
        "no data chunk": good[:36],
        "no samples": good[:40] + struct.pack("<I", 0),
        "text": b"this is not audio at all, is it?\n" * 9,
        "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    }[kind]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty", "an empty file (0 bytes)"),
        ("cut", "truncated: the header promises 16000 bytes of audio, the file holds 4956"),
        ("one byte short", "truncated: the header promises 16000 bytes"),
        ("header only", "truncated: the header promises 16000 bytes of audio, the file holds 0"),
        ("no data chunk", "truncated: a WAV header without audio data"),
        ("no samples", "holds a header but no samples"),
        ("text", "cannot be decoded, damaged or not audio"),
        ("lfs", "a Git LFS pointer, not audio; fetch the content with `git lfs pull`"),
        ("flac", "cannot be decoded, damaged or not audio"),
        ("nan", "2 samples are NaN or infinite"),
    ],
)
def test_broken_files_name_utterance_and_path(tmp_path, kind, message):
    path = tmp_path / "bad.wav"
    path.write_bytes(broken(kind, tmp_path))
    with pytest.raises(SertlError) as error:
        read_audio(path, "spk-1")
    assert str(error.value).startswith(f"utterance spk-1: {path}: {message}")
    dur_sec, (problem,) = check_audio(path, "spk-1")
    assert dur_sec == 0 and problem.startswith(f"spk-1 {path}: {message}")


def test_missing_and_directory_and_pipe(tmp_path):
    for path, message in (
        (tmp_path / "no.wav", "no such file"),
        (tmp_path, "a directory, expected an audio file"),
        (f"touch {tmp_path}/executed |", "a shell pipe"),
    ):
        with pytest.raises(SertlError, match=message):
            read_audio(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.999])
def test_ogg_that_was_cut_short(tmp_path, share):
    noise = 0.1 * np.random.default_rng(0).normal(size=48000)
    soundfile.write(tmp_path / "good.ogg", noise, 16000)
    assert len(read_audio(tmp_path / "good.ogg")) == 48000
    good = (tmp_path / "good.ogg").read_bytes()
    (tmp_path / "cut.ogg").write_bytes(good[: int(len(good) * share)])
    with pytest.raises(SertlError, match="truncated: Ogg without its last page|cannot be decoded"):
        read_audio(tmp_path / "cut.ogg")


def test_extra_chunks_and_streamed_headers_are_fine(tmp_path):
    good = wav_bytes(tmp_path)
    extra = b"LIST" + struct.pack("<I", 5) + b"abcde\0"  # odd length, padded
    (tmp_path / "chunk.wav").write_bytes(good[:12] + extra + good[12:])
    (tmp_path / "after.wav").write_bytes(good + extra)
    (tmp_path / "stream.wav").write_bytes(good[:40] + b"\xff" * 4 + good[44:])
    for name in ("chunk.wav", "after.wav", "stream.wav"):
        assert len(read_audio(tmp_path / name)) == 8000


def test_silence_is_a_problem_of_preparation_only(tmp_path):
    soundfile.write(tmp_path / "s.wav", np.zeros(1600), 16000)
    dur_sec, (problem,) = check_audio(tmp_path / "s.wav")
    assert dur_sec == 0.1 and "silent" in problem
    assert len(read_audio(tmp_path / "s.wav")) == 1600
    # Opposite channels: audible one by one, silent as the mono mix that is used.
    soundfile.write(tmp_path / "o.wav", np.stack([tone(16000), -tone(16000)], 1), 16000)
    assert "silent" in check_audio(tmp_path / "o.wav")[1][0]


def test_copies_have_the_same_hash(tmp_path):
    samples = (tone(16000) * 32767).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16000)
    soundfile.write(tmp_path / "b.flac", samples, 16000)
    soundfile.write(tmp_path / "c.wav", samples[::-1], 16000)
    a, b, c = (inspect_audio(tmp_path / name).sha1 for name in ("a.wav", "b.flac", "c.wav"))
    assert a == b != c


@pytest.mark.parametrize("kind", ["wav", "aiff", "au", "caf", "w64"])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_with_a_size_says_when_it_was_cut(tmp_path, kind, channels):
    path = tmp_path / f"a.{kind}"
    wav = 0.1 * np.random.default_rng(0).standard_normal((4001, channels))
    soundfile.write(path, wav, 16000, format=kind.upper(), subtype="PCM_16")
    assert len(read_audio(path)) == 4001
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SertlError, match="truncated"):
        read_audio(path)


def test_what_is_no_regular_file_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(SertlError, match="pipe, socket or device"):
        read_audio(tmp_path / "a.wav")
    with pytest.raises(SertlError, match="pipe, socket or device"):
        read_audio("/dev/zero")
    (tmp_path / "a.raw").write_bytes(bytes(1000))
    with pytest.raises(SertlError, match="no audio with a header"):
        read_audio(tmp_path / "a.raw")
    with pytest.raises(SertlError, match="null character"):
        read_audio(f"{tmp_path}/a\0b.wav")


@pytest.mark.parametrize("rate", [1, 2, 999, 2**31 - 1])
def test_rates_that_no_recording_has(tmp_path, rate):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(100), 16000, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate)
    path.write_bytes(content)
    with pytest.raises(SertlError, match=f"a rate of {rate} Hz|cannot be decoded"):
        read_audio(path)


def test_a_header_that_promises_days_takes_no_memory(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros(1000), 16000)
    content = bytearray(path.read_bytes())
    content[21] = (content[21] & 0xF0) | 0x0F  # 36 bits of the number of samples
    content[22:26] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    with pytest.raises(SertlError, match="hours by its header"):
        read_audio(path)
    content[21] &= 0xF0  # 2^32 - 1: 74 hours at 16 kHz; then 2^30: 18 hours, 4 GiB
    content[22:26] = struct.pack(">I", 1 << 30)
    path.write_bytes(content)
    with pytest.raises(SertlError, match="promises 1073741824|cannot be decoded"):
        read_audio(path)


def test_a_disk_that_hardly_answers(tmp_path, monkeypatch):
    """Half a second of audio in ten blocks, each of which takes a minute."""
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16000), 16000)
    monkeypatch.setattr(audio, "BLOCK", 800)
    now = iter(range(0, 10**6, 60))
    monkeypatch.setattr(audio.time, "monotonic", lambda: float(next(now)))
    assert len(read_audio(path)) == 8000  # ten minutes
    monkeypatch.setattr(audio, "SLOWEST_SEC", 300.0)
    with pytest.raises(SertlError, match=r"utterance u: .*a.wav: 60 % read after 300 s; is its di"):
        read_audio(path, "u")
