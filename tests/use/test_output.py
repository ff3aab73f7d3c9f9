# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Lines and vectors of an interrupted run: whole ones stay, the rest is cut."""

import json

import numpy as np
import pytest

from sertl.data.ark import read_array, read_scp
from sertl.errors import SertlError
from sertl.use.output import Output, write_vectors

KEY = {"model": "m"}


def first_word(line):
    return line.split()[0]


def json_utt(line):
    return json.loads(line)["utt"]


def fill(path, key, utts, vectors="", stop_after=None):
    with Output(str(path), key, first_word, vectors) as output:
        begun = list(output.done)
        for number, utt in enumerate(utts):
            if utt in begun:
                continue
            if number == stop_after:
                raise KeyboardInterrupt
            vector = np.full(3, number, np.float32) if vectors else None
            output.write(utt, f"{utt} line\n", vector)
            output.flush()
    return begun


@pytest.mark.parametrize("kind", ["", "npy", "ark"])
@pytest.mark.parametrize("damage", ["none", "line", "vector"])
def test_goes_on_after_the_last_whole_line(tmp_path, kind, damage):
    path, utts = tmp_path / "out.txt", ["a", "b", "c", "d"]
    vectors = str(tmp_path / f"v.{kind}") if kind else ""
    with pytest.raises(KeyboardInterrupt):
        fill(path, KEY, utts, vectors, stop_after=2)
    assert not path.exists()
    if damage == "line":
        with open(f"{path}.partial", "a") as stream:
            stream.write("c li")
    if damage == "vector" and kind:
        spool = tmp_path / "out.txt.partial.vectors"
        spool.write_bytes(spool.read_bytes()[:-5])  # b's is not whole: b is predicted again
    begun = fill(path, KEY, utts, vectors)
    assert begun == (["a"] if damage == "vector" and kind else ["a", "b"])
    assert path.read_text() == "a line\nb line\nc line\nd line\n"
    assert sorted(p.name for p in tmp_path.iterdir() if "partial" in p.name) == []
    if kind == "npy":
        assert np.load(vectors)[:, 0].tolist() == [0, 1, 2, 3]
        assert (tmp_path / "v.ids").read_text() == "a\nb\nc\nd\n"
    if kind == "ark":
        scp = read_scp(tmp_path / "v.scp")
        assert [read_array(scp[u], u)[0] for u in utts] == [0, 1, 2, 3]


def test_odd_names_are_taken_up(tmp_path):
    """Blanks that Unicode calls line ends are none here: JSON lines hold them as they are."""
    path, utts = tmp_path / "out.txt", ["a\u2028a", "b\x85", "c"]
    for stop_after in (1, 2):
        with pytest.raises(KeyboardInterrupt), Output(str(path), KEY, json_utt) as output:
            assert output.done == utts[: stop_after - 1]
            output.write(
                utts[stop_after - 1],
                json.dumps({"utt": utts[stop_after - 1]}, ensure_ascii=False) + "\n",
            )
            raise KeyboardInterrupt
    with Output(str(path), KEY, json_utt) as output:
        assert output.done == utts[:2]


def test_another_model_starts_anew(tmp_path):
    path = tmp_path / "out.txt"
    with pytest.raises(KeyboardInterrupt):
        fill(path, KEY, ["a", "b"], stop_after=1)
    assert fill(path, {"model": "other"}, ["a", "b"]) == []
    assert path.read_text() == "a line\nb line\n"


def test_nothing_to_say_is_an_empty_file(tmp_path):
    fill(tmp_path / "out.txt", KEY, [])
    assert (tmp_path / "out.txt").read_text() == ""


def test_names_of_vectors(tmp_path):
    with pytest.raises(SertlError, match="ends with .npy or .ark"):
        write_vectors(str(tmp_path / "v.txt"), ["a"], np.zeros((1, 2), np.float32))
