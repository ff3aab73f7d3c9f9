# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Arks: round trip, what is refused, truncation at every byte, joining parts."""

import os
import pickle
import struct

import kaldiio
import numpy as np
import pytest

from sertl.data.ark import ArkWriter, merge_scp, read_array, read_scp
from sertl.errors import SertlError


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "s-3": rng.standard_normal((7, 5)).astype(np.float32),
        "s-1": np.array([1.5, -2.0, 1e-3], np.float32),
        "s-2": np.array([3, -1, 2**31 - 1], np.int32),
        "s-ü": np.full((2, 3), 2.5, np.float32),
    }


def write(prefix, arrays, **options):
    with ArkWriter(prefix, **options) as writer:
        for utt, array in arrays.items():
            writer.write(utt, array)
    return read_scp(f"{prefix}.scp")


@pytest.mark.parametrize("compress", [True, False])
def test_round_trip(tmp_path, arrays, compress):
    scp = write(tmp_path / "x/feats.3", arrays, compress=compress)
    assert list(scp) == ["s-1", "s-2", "s-3", "s-ü"]
    assert sorted(p.name for p in (tmp_path / "x").iterdir()) == ["feats.3.ark", "feats.3.scp"]
    for utt, array in arrays.items():
        read = read_array(scp[utt], utt)
        assert read.dtype == array.dtype and read.shape == array.shape and read.flags.writeable
        # 65,536 steps between smallest and largest value: at most half a step of error
        step = np.ptp(array) / 65535 if compress and array.ndim == 2 else 0
        np.testing.assert_allclose(read, array, rtol=1e-6, atol=0.51 * step)


@pytest.mark.parametrize("compress", [True, False])
def test_kaldiio_reads_the_same_to_the_bit(tmp_path, arrays, compress):
    arrays["s-4"] = 1e3 * np.random.default_rng(1).standard_normal((300, 40), np.float32) - 77.7
    scp = write(tmp_path / "f", arrays, compress=compress)
    theirs = kaldiio.load_scp(str(tmp_path / "f.scp"))
    assert set(theirs) == set(arrays)
    for utt, array in theirs.items():
        np.testing.assert_array_equal(read_array(scp[utt], utt), array)
        if not compress:
            np.testing.assert_array_equal(array, arrays[utt])


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0), (-2, -3)])
def test_sizes_that_no_array_has(tmp_path, sizes):
    header = b"\0BFM " + struct.pack("<bibi", 4, sizes[0], 4, sizes[1])
    (tmp_path / "f.ark").write_bytes(b"s-1 " + header + bytes(64))
    with pytest.raises(SertlError, match="there is no array of utterance 's-1'"):
        read_array(f"{tmp_path}/f.ark:4", "s-1")


def test_int32_is_written_as_kaldiio_does(tmp_path, arrays):
    own = {"s-2": arrays["s-2"]}
    scp = write(tmp_path / "f", own)
    kaldiio.save_ark(str(tmp_path / "theirs.ark"), own, scp=str(tmp_path / "theirs.scp"))
    assert (tmp_path / "f.ark").read_bytes() == (tmp_path / "theirs.ark").read_bytes()
    assert read_array(scp["s-2"], "s-2").tolist() == own["s-2"].tolist()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2), np.float64), "float64 array with 2 dimensions"),
        (np.zeros((2, 2), np.float16), "float16"),
        (np.zeros(3, np.int64), "int64"),
        (np.zeros((2, 2), np.int32), "int32 array with 2 dimensions"),
        (np.zeros((2, 2, 2), np.float32), "3 dimensions"),
        (np.zeros((0, 4), np.float32), r"no elements, shape \(0, 4\)"),
        (np.array([[1, np.nan], [np.inf, 0]], np.float32), "2 values that are NaN or infinite"),
    ],
)
def test_refused_arrays_leave_nothing_behind(tmp_path, array, message):
    with pytest.raises(SertlError, match=f"'s-9'.*{message}"):
        write(tmp_path / "f", {"s-1": np.zeros(2, np.float32), "s-9": array})
    assert list(tmp_path.iterdir()) == []


def test_refused_ids(tmp_path):
    with pytest.raises(SertlError, match="holds a blank"):
        write(tmp_path / "f", {"s 1": np.zeros(2, np.float32)})
    with pytest.raises(SertlError, match="'s-1' is written twice"):
        with ArkWriter(tmp_path / "f") as writer:
            writer.write("s-1", np.zeros(2, np.float32))
            writer.write("s-1", np.zeros(2, np.float32))
    assert list(tmp_path.iterdir()) == []


def test_an_older_pair_survives_a_failed_write(tmp_path, arrays):
    scp = write(tmp_path / "f", arrays)
    with pytest.raises(ZeroDivisionError):
        with ArkWriter(tmp_path / "f") as writer:
            writer.write("s-1", np.zeros(2, np.float32))
            raise ZeroDivisionError
    np.testing.assert_array_equal(read_array(scp["s-1"], "s-1"), arrays["s-1"])


def test_cut_at_every_byte(tmp_path, arrays):
    scp = write(tmp_path / "f", arrays)
    whole = (tmp_path / "f.ark").read_bytes()
    starts = sorted(int(spec.rsplit(":", 1)[1]) for spec in scp.values())
    ends = {
        utt: min(
            (s - len(f"{other} ".encode()) for other, o in scp.items()
             if (s := int(o.rsplit(":", 1)[1])) > int(spec.rsplit(":", 1)[1])),
            default=len(whole),
        )
        for utt, spec in scp.items()
    }  # fmt: skip
    assert len(starts) == 4
    for size in range(len(whole)):
        (tmp_path / "f.ark").write_bytes(whole[:size])
        for utt, spec in scp.items():
            if size >= ends[utt]:
                assert read_array(spec, utt).shape == arrays[utt].shape
            else:
                with pytest.raises(SertlError, match=f"'?{utt}'?"):
                    read_array(spec, utt)


def test_truncation_names_ark_offset_and_utterance(tmp_path, arrays):
    scp = write(tmp_path / "f", arrays)
    ark = tmp_path / "f.ark"
    os.truncate(ark, 40)
    with pytest.raises(SertlError, match=f"{ark} is truncated: utterance 's-3' at offset 4 needs"):
        read_array(scp["s-3"], "s-3")


def test_missing_ark_names_the_folder_of_relative_paths(tmp_path, arrays, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scp = write("dump/f", arrays)
    assert scp["s-3"] == "dump/f.ark:4"
    read_array(scp["s-3"], "s-3")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    with pytest.raises(SertlError, match=f"no ark file dump/f.ark .read from .*{tmp_path}/other"):
        read_array(scp["s-3"], "s-3")


def test_an_scp_of_another_run_is_noticed(tmp_path, arrays):
    scp = write(tmp_path / "f", arrays)
    with pytest.raises(SertlError, match="no array of utterance 's-1'"):
        read_array(scp["s-3"], "s-1")
    write(tmp_path / "f", dict(reversed(arrays.items())))
    with pytest.raises(SertlError, match="offset 4 there is no array of utterance 's-3'"):
        read_array(scp["s-3"], "s-3")


def test_pickles_and_pipes_are_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    (tmp_path / "f.ark").write_bytes(b"s-1 PKL" + pickle.dumps(Bomb()))
    for spec in (f"{tmp_path}/f.ark:4", f"mkdir {tmp_path}/executed |", f"{tmp_path}/f.ark"):
        with pytest.raises(SertlError):
            read_array(spec, "s-1")
    assert not (tmp_path / "executed").exists()


def test_merge(tmp_path, arrays):
    utts = list(arrays)
    parts = []
    for n in range(2):
        write(tmp_path / f"feats.{n}", {u: arrays[u] for u in utts[n::2]})
        parts.append(tmp_path / f"feats.{n}.scp")
    merge_scp(parts, tmp_path / "feats.scp", utts)
    scp = read_scp(tmp_path / "feats.scp")
    assert list(scp) == sorted(utts)
    for utt in utts:
        assert read_array(scp[utt], utt).shape == arrays[utt].shape
    with pytest.raises(SertlError, match="3 expected; not expected: s-3"):
        merge_scp(parts, tmp_path / "x.scp", utts[1:])
    with pytest.raises(SertlError, match="4 utterances written, 5 expected; missing: s-9"):
        merge_scp(parts, tmp_path / "x.scp", [*utts, "s-9"])
    with pytest.raises(SertlError, match="feats.0.scp: s-2, s-3 also in another part"):
        merge_scp([*parts, parts[0]], tmp_path / "x.scp", utts)
    assert not (tmp_path / "x.scp").exists()
