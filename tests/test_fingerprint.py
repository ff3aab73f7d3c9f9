# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Finished work is skipped, interrupted work resumed, other inputs refused."""

import pytest

from sertl import fingerprint
from sertl.atomic import replacing
from sertl.errors import SertlError
from sertl.fingerprint import Progress


def test_life_of_a_folder(tmp_path):
    out = tmp_path / "out"
    inputs = {"ids": "abc", "conf": {"lr": 0.1, "layers": (1, 2)}}
    assert fingerprint.begin(out, inputs) is Progress.FRESH
    with pytest.raises(SertlError, match="unfinished"):
        fingerprint.require_done(out, "stage 3")
    assert fingerprint.begin(out, inputs) is Progress.RESUME
    fingerprint.finish(out)
    assert fingerprint.begin(out, inputs) is Progress.DONE
    assert fingerprint.require_done(out, "stage 3")["conf"]["layers"] == [1, 2]


def test_other_inputs_are_named_and_redo_deletes(tmp_path):
    out = tmp_path / "out"
    fingerprint.begin(out, {"conf": {"lr": 0.1}, "ids": "a"})
    (out / "old").write_text("stale")
    with pytest.raises(SertlError, match=r"conf.lr: 0.1 -> 0.2[\s\S]*--redo"):
        fingerprint.begin(out, {"conf": {"lr": 0.2}, "ids": "a"})
    assert fingerprint.begin(out, {"conf": {"lr": 0.2}, "ids": "a"}, redo=True) is Progress.FRESH
    assert not (out / "old").exists()


def test_a_redo_that_was_stopped_passes_neither_for_done_nor_for_fresh(tmp_path, monkeypatch):
    out = tmp_path / "out"
    fingerprint.begin(out, {"lr": 0.1})
    (out / "last.pt").write_text("old")
    (out / "tb").mkdir()
    fingerprint.finish(out)
    with monkeypatch.context() as m:
        m.setattr(fingerprint.shutil, "rmtree", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fingerprint.begin(out, {"lr": 0.1}, redo=True)
    assert (out / "tb").is_dir()
    with pytest.raises(SertlError, match="deleting: stopped"):
        fingerprint.begin(out, {"lr": 0.1})
    assert fingerprint.begin(out, {"lr": 0.1}, redo=True) is Progress.FRESH
    assert [p.name for p in out.iterdir()] == ["fingerprint.json"]


def test_progress_claims_nothing(tmp_path):
    out = tmp_path / "out"
    assert fingerprint.progress(out, {"a": 1}) is Progress.FRESH and not out.exists()
    fingerprint.begin(out, {"a": 1})
    assert fingerprint.progress(out, {"a": 1}) is Progress.RESUME
    with pytest.raises(SertlError, match="a: 1 -> 2"):
        fingerprint.progress(out, {"a": 2})


def test_missing_work_names_the_stage(tmp_path):
    with pytest.raises(SertlError, match="run stage 3 first"):
        fingerprint.require_done(tmp_path / "none", "stage 3")


def test_hashes_depend_on_what_they_should(tmp_path):
    assert fingerprint.ids_hash(["b", "a"]) == fingerprint.ids_hash(["a", "b"])
    assert fingerprint.ids_hash(["a", "b"]) != fingerprint.ids_hash(["ab"])
    (tmp_path / "m").mkdir()
    (tmp_path / "m/x").write_text("1")
    before = fingerprint.file_hash(tmp_path / "m")
    (tmp_path / "m/x").rename(tmp_path / "m/y")
    assert fingerprint.file_hash(tmp_path / "m") != before


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
