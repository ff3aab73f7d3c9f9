# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Recordings inside tar files read as those beside them."""

import io
import tarfile

import numpy as np
import pytest
import soundfile

from sertl.data.audio import audio_hash, inspect_audio, open_audio, read_audio
from sertl.data.datadir import Utterance
from sertl.data.tar_members import is_recording, member_of, open_recording, recording_stat
from sertl.errors import SertlError
from sertl.use.long_audio import LongAudio


@pytest.fixture
def pair(tmp_path):
    """A file, and the same bytes inside a tar file."""
    tone = np.sin(np.arange(24000) / 9).astype(np.float32) * 0.3
    alone = tmp_path / "a.wav"
    soundfile.write(alone, np.stack([tone, 0.5 * tone], 1), 24000)
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for name, content in (("x", b"1" * 700), ("a.wav", alone.read_bytes()), ("y", b"2")):
            head = tarfile.TarInfo(name)
            head.size = len(content)
            tar.addfile(head, io.BytesIO(content))
    with tarfile.open(tmp_path / "s.tar") as tar:
        place = tar.getmember("a.wav")
    return str(alone), f"{tmp_path}/s.tar:{place.offset_data}+{place.size}"


def test_every_reader_takes_it(pair):
    alone, inside = pair
    assert np.array_equal(read_audio(alone), read_audio(inside))
    assert inspect_audio(alone) == inspect_audio(inside)
    with open_audio(inside) as file, LongAudio(inside) as long:
        assert file.frames == 24000
        assert np.array_equal(long.read(1000, 9000), read_audio(alone)[1000:9000])
    one, other = (Utterance("u", "s", path, 1.0) for path in pair)
    assert audio_hash([one]) == audio_hash([other])
    assert recording_stat(inside)[0] == recording_stat(alone)[0]
    assert is_recording(inside) and not is_recording("/no.tar:0+1")
    assert member_of(alone) is None


def test_a_window_is_a_file(pair):
    alone, inside = pair
    content = open(alone, "rb").read()
    with open_recording(inside) as stream:
        assert stream.read() == content and stream.read(1) == b""
        assert stream.seek(-10, io.SEEK_END) == len(content) - 10
        assert stream.read(100) == content[-10:]
        assert stream.seek(7) == 7 and stream.seek(3, io.SEEK_CUR) == 10
        assert stream.read(5) == content[10:15]
        with pytest.raises(OSError, match="before the beginning"):
            stream.seek(-1)


def test_what_is_wrong_is_said_with_its_place(pair, tmp_path):
    _, inside = pair
    tar, _, place = inside.rpartition(":")
    start, size = map(int, place.split("+"))
    for path, what in (
        (f"{tar}:{start}+{size - 500}", "truncated"),
        (f"{tar}:{start + 1}+{size}", "cannot be decoded"),
        (f"{tar}:{10**9}+{size}", "an empty file"),
        (f"{tmp_path}/none.tar:0+5", "no such file"),
    ):
        with pytest.raises(SertlError, match=what) as error:
            read_audio(path, "utt7")
        assert path in str(error.value) and "utt7" in str(error.value)
