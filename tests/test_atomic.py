# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Files are whole or absent, and what a killed process leaves does not stay."""

import os
import subprocess

import pytest

from sertl import atomic


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    atomic.write_text(path, "old")
    with pytest.raises(ZeroDivisionError), atomic.replacing(path) as temporary:
        temporary.write_text("new")
        raise ZeroDivisionError
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_what_a_killed_process_left_is_swept(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / f".last.pt.tmp-{atomic.HOST}-{gone.pid}").touch()
    (tmp_path / f".config.yaml.tmp-{atomic.HOST}-{os.getpid()}").touch()  # of a process at work
    (tmp_path / ".config.yaml.tmp-elsewhere-1").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "kept.tmp-x-1").touch()
    atomic.sweep(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert f".last.pt.tmp-{atomic.HOST}-{gone.pid}" not in left and len(left) == 4
    os.utime(tmp_path / ".config.yaml.tmp-elsewhere-1", (0, 0))
    atomic.sweep(tmp_path)
    assert not (tmp_path / ".config.yaml.tmp-elsewhere-1").exists()
    atomic.sweep(tmp_path / "no such folder")
