# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Tar shards: what is written is read again, also by other readers of WebDataset's layout."""

import io
import json
import tarfile

import numpy as np
import pytest
import soundfile

from sertl.data.clip_table import choose_columns, read_clips, read_rows
from sertl.data.datadir import DataDir, Utterance
from sertl.data.tar_shards import read_shards, write_csv, write_shards
from sertl.errors import SertlError


@pytest.fixture
def data(tmp_path):
    """Five utterances, WAV and FLAC."""
    utts = {}
    for n in range(5):
        path = tmp_path / f"r{n}.{'flac' if n % 2 else 'wav'}"
        soundfile.write(path, np.full(1600 * (n + 1), 0.1), 16000)
        name = f"s{n % 2}-u{n}"
        more = {"own": {"room": "a"}, "text": 'ein, "zwei"', "gender": "f"} if n else {}
        utts[name] = Utterance(name, f"s{n % 2}", str(path), 0.1 * (n + 1), "joy", **more)
    return DataDir(tmp_path, utts, ["joy"], None)


def clips(table):
    rows = read_rows(table)
    return read_clips(rows, choose_columns(list(rows[0]), {"utt": "utt"}, "t"), table.parent)


def test_what_is_written_is_read(data, tmp_path):
    shards = write_shards(data, tmp_path / "out", 8000)
    assert [p.name for p in shards] == [f"00000{n}.tar" for n in range(4)]  # two share the first
    assert write_csv(read_shards(shards), tmp_path / "t.csv") == 5
    found = {u.utt: u for u in clips(tmp_path / "t.csv")}
    assert found.keys() == data.utts.keys()
    for utt, one in found.items():
        original = data.utts[utt]
        assert (one.spk, one.emo, one.text) == (original.spk, "joy", original.text)
        assert np.array_equal(soundfile.read(original.wav)[0], _decoded(one.wav))
    assert "room" in read_rows(tmp_path / "t.csv")[0]


def _decoded(path):
    from sertl.data.audio import read_audio

    return read_audio(path)


def test_shards_are_the_same_bytes_whenever_they_are_written(data, tmp_path):
    first = write_shards(data, tmp_path / "a", 10**6)
    (again,) = write_shards(data, tmp_path / "b", 10**6)
    assert first[0].read_bytes() == again.read_bytes()
    assert write_shards(data, tmp_path / "b", 10**6) == [again]  # skipped
    with pytest.raises(SertlError, match="made from other inputs"):
        write_shards(data, tmp_path / "b", 5000)
    assert len(write_shards(data, tmp_path / "b", 8000, redo=True)) == 4


def test_it_is_webdataset_s_layout(data, tmp_path):
    """A sample's members stand together, under one name up to the first dot."""
    (shard,) = write_shards(data, tmp_path / "out", 10**6)
    with tarfile.open(shard) as tar:
        names = tar.getnames()
    assert names[:4] == ["s0-u0.wav", "s0-u0.json", "s1-u1.flac", "s1-u1.json"]
    reader = pytest.importorskip("webdataset", reason="webdataset is not installed")
    samples = list(reader.WebDataset(str(shard), shardshuffle=False).decode())
    assert [s["__key__"] for s in samples] == list(data.utts)
    assert samples[1]["json"]["emo"] == "joy"


def shard_of(path, *members):
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            head = tarfile.TarInfo(name)
            head.size = len(content)
            tar.addfile(head, io.BytesIO(content))
    return path


def test_shards_of_other_writers(tmp_path):
    """Folders in names, classes and texts as files, other members, more than one dot."""
    known = json.dumps({"speaker": "s", "vad": [1, 2, 3], "part": "dev", "list": [1]}).encode()
    shard = shard_of(
        tmp_path / "o.tar", ("d/a.WAV", b"RIFF"), ("d/a.cls", b"joy\n"), ("d/a.seg.json", b"{"),
        ("d/a.json", known), ("d/b.txt", b"two  words"), ("d/b.flac", b"fLaC"),
    )  # fmt: skip
    one, two = read_shards([shard])
    assert one.pop("wav").startswith(f"{shard}:512+4")
    assert one == {
        **{"utt": "a", "emotion": "joy", "speaker": "s", "split": "dev"},
        **{"valence": "1", "arousal": "2", "dominance": "3"},
    }
    assert (two["utt"], two["text"]) == ("b", "two words")


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ([("a.json", b"{}")], "sample a has 0 recordings"),
        ([("a.wav", b"x"), ("a.flac", b"x")], "sample a has 2 recordings"),
        ([("a.wav", b"x"), ("a.json", b'{"vad": 3.2}')], "sample a: vad is 3.2, expected three"),
        ([("a.wav", b"x"), ("a.json", b'{"vad": [1, 2]}')], "expected three numbers"),
        ([("a.wav", b"x"), ("a.json", b"[1]")], "expected an object"),
        ([("a.wav", b"x"), ("a.json", b"{")], "is not JSON"),
        ([], "no samples"),
    ],
)
def test_a_bad_shard_is_named(tmp_path, members, what):
    shard = shard_of(tmp_path / "o.tar", *members)
    with pytest.raises(SertlError, match=what):
        write_csv(read_shards([shard]), tmp_path / "t.csv")


def test_what_is_no_tar_file(tmp_path):
    (tmp_path / "o.tar").write_bytes(b"\x1f\x8b\x08 compressed")
    with pytest.raises(SertlError, match="no tar file, compressed or cut short"):
        list(read_shards([tmp_path / "o.tar"]))


def test_names_that_the_layout_cannot_hold(tmp_path, data):
    utt = data.utts["s0-u0"]
    bad = DataDir(tmp_path, {"a.b": Utterance("a.b", "a", utt.wav, 0.1)}, [], None)
    with pytest.raises(SertlError, match="first dot"):
        write_shards(bad, tmp_path / "out", 1000)
