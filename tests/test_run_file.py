# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a run wrote is read whole, or refused with the file and what to do."""

import json

import pytest

from sertl.errors import SertlError
from sertl.run_file import read_run_json, read_run_text, understanding
from sertl.schema.run_records import DecodeFile, FingerprintFile, ScoreFile

PROTOCOL = {
    "fold_hash": "x",
    "select": "last",
    "corpus": "c",
    "policy": "p",
    "labels": ["a", "b"],
    "protocol": "loso",
    "fold": 1,
    "num_folds": 2,
    "num_utts": {},
    "n_per_class": {},
    "release": "1",
    "dev_rule": "d",
    "licence": "l",
    "cite": "c",
}
GOOD = {"data_dir": "data/fold1/test", "fold": 1, "seed": 1, "set": "test", "more": [1]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (b"null", "it holds None"),
        (b"[]", r"it holds \[\]"),
        (b"3", "it holds 3"),
        (b"{}", "data_dir: field required"),
        (json.dumps({**GOOD, "fold": "1"}).encode(), "fold: input should be a valid integer"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_damaged(tmp_path, content, message):
    path = tmp_path / "decode.json"
    path.write_bytes(content)
    with pytest.raises(SertlError, match=f"decode.json is .*{message}.*; do this") as error:
        read_run_json(path, DecodeFile, "do this")
    assert "\n" not in str(error.value)


def test_what_is_whole_is_returned_as_it_is(tmp_path):
    path = tmp_path / "decode.json"
    with pytest.raises(SertlError, match="decode.json is missing; do this"):
        read_run_text(path, "do this")
    path.write_text(json.dumps(GOOD))
    assert read_run_json(path, DecodeFile, "") == GOOD


def test_states_of_a_fingerprint(tmp_path):
    path = tmp_path / "fingerprint.json"
    path.write_text(json.dumps({"state": "dnoe", "inputs": {}}))
    with pytest.raises(SertlError, match="state: input should be 'running' or 'done'"):
        read_run_json(path, FingerprintFile, "redo")


def test_columns_of_a_score_agree(tmp_path):
    score = {
        "version": 3,
        "inputs": {},
        "set": "test",
        "fold": 1,
        "seed": 1,
        "labels": ["a", "b"],
        "protocol": PROTOCOL,
        "n": 2,
        "num_speakers": 1,
        "classes": {},
        "utts": {"utt": ["u", "v"], "spk": ["s", "s"], "dur_sec": [1.0, 2.0], "ref": [0, 1]},
    }
    path = tmp_path / "score.json"
    path.write_text(json.dumps(score))
    assert read_run_json(path, ScoreFile, "redo") == score
    for change, message in (
        ({"utt": ["u"]}, "utts.utt has not n = 2 entries"),
        ({"ref": [0, 2]}, "utts.ref holds what is no index of a label"),
    ):
        path.write_text(json.dumps({**score, "utts": {**score["utts"], **change}}))
        with pytest.raises(SertlError, match=message):
            read_run_json(path, ScoreFile, "redo")


def test_understanding_names_the_file_and_lets_our_own_errors_pass():
    with pytest.raises(SertlError, match="x.json is not .*: lacks 'a'; redo"):
        with understanding("x.json", "redo"):
            {}["a"]
    with pytest.raises(SertlError, match="^mine$"):
        with understanding("x.json", "redo"):
            raise SertlError("mine")
