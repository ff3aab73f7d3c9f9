# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What may be named to predict: files, folders, wav.scp, standard input."""

import pytest

from sertl.errors import SertlError
from sertl.use.sources import find_sources


@pytest.fixture
def folder(tmp_path):
    for name in ("b.wav", "a.FLAC", "sub/c d.wav", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_files_keep_their_order_and_folders_are_searched(folder):
    found = list(find_sources([str(folder / "b.wav"), str(folder)]))
    names = [path.removeprefix(f"{folder}/") for _, path in found]
    assert names == ["b.wav", "a.FLAC", "b.wav", "sub/c d.wav"]
    assert all(utt == path for utt, path in found)


def test_scp_and_lines(folder):
    (folder / "wav.scp").write_text("u1 b.wav\nu2 sub/c d.wav\n")
    assert list(find_sources([str(folder / "wav.scp")])) == [("u1", "b.wav"), ("u2", "sub/c d.wav")]
    path = str(folder / "sub/c d.wav")
    lines = [f"{path}\n", "u7 x.wav\n", "\n", "y.wav\n"]
    expected = [(path, path), ("u7", "x.wav"), ("y.wav", "y.wav")]
    assert list(find_sources(["-"], lines)) == expected


def test_refused(folder):
    (folder / "empty").mkdir()
    with pytest.raises(SertlError, match="no audio files in this folder"):
        list(find_sources([str(folder / "empty")]))
    with pytest.raises(SertlError, match="u1 names two recordings"):
        list(find_sources(["-"], ["u1 a.wav", "u1 b.wav"]))


def test_audio_on_standard_input_is_no_list(tmp_path):
    def undecodable():
        yield b"\xff".decode()

    for lines in (["a.wav\n", "RIFF\0\0data\n"], undecodable()):
        with pytest.raises(SertlError, match="standard input .*: - reads a list of recordings, no"):
            list(find_sources(["-"], lines))
    long = "x" * 5000
    assert list(find_sources(["-", long], [long])) == [(long, long)] * 2  # reading will say it
    (tmp_path / "wav.scp").write_text("u1 a\0b.wav\n")
    with pytest.raises(SertlError, match="'u1' is no path: it has a null character"):
        list(find_sources([str(tmp_path / "wav.scp")]))
