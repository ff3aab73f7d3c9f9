# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Kaldi tables: round trip, C order, and every malformed line named."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sertl.data.table import read_table, scan_table, write_table
from sertl.errors import SertlError

visible = st.characters(codec="utf-8", exclude_categories=("C", "Z"))
keys = st.text(visible, min_size=1, max_size=8).filter(str.isprintable)
values = st.lists(st.text(visible, min_size=1, max_size=5), min_size=1, max_size=4).map(" ".join)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(keys, values, max_size=8))
def test_round_trip(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("table") / "text"
    write_table(path, table)
    assert read_table(path) == table


def test_order_is_that_of_sort_in_the_c_locale(tmp_path):
    path = tmp_path / "t"
    write_table(path, dict.fromkeys(("b", "B", "ä", "a-1", "a1", "a", "Ł", "𝄞", "�", "z"), "x"))
    done = subprocess.run(["sort", "-c", path], env={"LC_ALL": "C"}, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert list(read_table(path)) == ["B", "a", "a-1", "a1", "b", "z", "ä", "Ł", "�", "𝄞"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a 1\r\nb 2\n", ":1: Windows line end"),
        (b"a\t1\nb 2\n", ":1: tab"),
        (b"a 1\nb  2\n", ":2: more than one space"),
        (b"a 1\nb 2 \n", ":2: blank at the start or the end"),
        (b" a 1\nb 2\n", ":1: blank at the start or the end"),
        (b"a 1\n\nb 2\n", ":2: blank line"),
        (b"a 1\na 2\n", ":2: repeated key 'a', first in line 1"),
        (b"b 1\na 2\n", ":2: 'a' is not sorted, it comes after 'b'"),
        (b"a 1\nb\n", ":2: key 'b' has no value"),
        (b"a 1\nb \xff\n", ":2: not UTF-8 (byte 0xff)"),
        (b"a 1\nb 2", ":2: the last line has no line end"),
        (b"\xef\xbb\xbfa 1\nb 2\n", ":1: starts with a byte-order mark"),
        ("a 1\nb\u00a0c 2\n".encode(), ":2: key 'b\\xa0c' holds a blank"),
    ],
)
def test_each_malformed_line_is_one_problem_with_its_place(tmp_path, content, message):
    path = tmp_path / "utt2x"
    path.write_bytes(content)
    (problem,) = scan_table(path).problems
    assert problem.startswith(f"{path}{message}")
    with pytest.raises(SertlError, match="utt2x"):
        read_table(path)


def test_reading_goes_on_after_a_problem(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(b"a 1\r\n\nb\t2\na 3\n0 4")
    scan = scan_table(path)
    assert scan.table == {"a": "1", "b": "2", "0": "4"}
    assert scan.line == {"a": 1, "b": 3, "0": 5}
    assert len(scan.problems) == 6  # CR, blank, tab, repeated, order, cut short


def test_missing_file(tmp_path):
    with pytest.raises(SertlError, match="nothing: no such file"):
        read_table(tmp_path / "nothing")


@pytest.mark.parametrize("value", ["", " x", "x ", "a  b", "a\tb", "a\nb", "wav\udcff.wav"])
def test_values_that_could_not_be_read_back_are_refused(tmp_path, value):
    with pytest.raises(SertlError, match="value of 'k'"):
        write_table(tmp_path / "t", {"k": value})
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("key", ["", "a b", "a\tb", "a\u2003b", "a\0"])
def test_keys_with_blanks_are_refused(tmp_path, key):
    with pytest.raises(SertlError, match="key"):
        write_table(tmp_path / "t", {key: "v"})
