# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A run that has ended is recognised as long as nothing that it read or wrote looks different."""

import os
import subprocess
import sys

import pytest

from sertl.finished import FOLDER, is_finished, record


@pytest.fixture
def run(tmp_path):
    """Data, code and an experiment, recorded; returns how to ask again."""
    for name in ("wavs/a.wav", "code/run.py", "data/all/utt2spk", "exp/x/tb/1", "exp/x/results"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "data/all/wav.scp").write_text(f"a {tmp_path}/wavs/a.wav\n")
    code = [tmp_path / "code"]
    record(tmp_path / "exp", "stage=1\n", code, [tmp_path / "data/all", tmp_path / "exp/x"])
    return lambda asked="stage=1\n": is_finished(tmp_path / "exp", asked, code)


def test_the_same_again(run, tmp_path):
    assert run() and not run("stage=2\n")
    (tmp_path / "exp/x/tb/1").write_text("more of it")  # decides nothing
    (tmp_path / "exp/x/command.txt").write_text("again")
    assert run()


@pytest.mark.parametrize(
    "name", ["wavs/a.wav", "code/run.py", "data/all/utt2spk", "exp/x/results", "exp/x/new"]
)
def test_any_file_that_looks_different(run, tmp_path, name):
    (tmp_path / name).write_text(name.upper())
    os.utime(tmp_path / name, (1, 1))
    assert not run()


@pytest.mark.parametrize("name", ["wavs/a.wav", "exp/x/results"])
def test_any_file_that_is_gone(run, tmp_path, name):
    (tmp_path / name).unlink()
    assert not run()


def test_a_damaged_record_is_none(run, tmp_path):
    [path] = (tmp_path / "exp" / FOLDER).iterdir()
    for content in ("", "[]", "{}", '{"asked": "stage=1\\n", "folders": 3}'):
        path.write_text(content)
        assert not run()


def test_it_needs_no_torch():
    code = "import sys, sertl.bin.finished; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
