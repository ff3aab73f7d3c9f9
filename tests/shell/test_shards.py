# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""run.sh --shard: which commands each of several machines runs."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = """#!/usr/bin/env bash
if [[ $1 == -c ]]; then exit; fi
if [[ " $* " == *" sertl.bin.configure "* ]]; then
  printf '%s\\n' tag=t dump=dump/x dumped=true together=TOGETHER teacher=false input=feats \\
    phases=main other_data= other_dumps= other_frames= frames=none pool= normalise=false \\
    dump_layers=
  exit
fi
echo "$*" >> calls
"""


@pytest.fixture(params=["false", "true"])
def call(tmp_path, request):
    """A function: run.sh with Python's part faked; a line for each command."""
    for name in ("tools", "path.sh", "sertl", "conf"):
        (tmp_path / name).symlink_to(ROOT / name)
    recipe = tmp_path / "egs/x"
    (recipe / "data/fold1").mkdir(parents=True)
    (recipe / "data/num_folds").write_text("3\n")
    for number in (2, 3):
        (recipe / f"data/fold{number}").mkdir()
    (recipe / "run.sh").write_text((ROOT / "egs/iemocap/run.sh").read_text())
    fake = tmp_path / "bin/python"
    fake.parent.mkdir()
    fake.write_text(PYTHON.replace("TOGETHER", request.param))
    fake.chmod(0o755)
    env = {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"}

    def run(*words):
        calls = recipe / "calls"
        calls.unlink(missing_ok=True)
        done = subprocess.run(
            ["bash", "run.sh", "--corpus-dir", "c", *words],
            cwd=recipe, env=env, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        return done, calls.read_text().splitlines() if calls.is_file() else []

    return run


def jobs(lines, module):
    """(fold, seed) of the commands of a stage."""
    found = set()
    for words in (line.split() for line in lines if f"sertl.bin.{module} " in line):
        folds = words[words.index("--fold") + 1 : words.index("--seed")]
        found |= {(fold, words[words.index("--seed") + 1]) for fold in folds}
    return found


@pytest.mark.parametrize("count", [1, 4, 9])
def test_each_fold_of_each_seed_is_one_machine_s(call, count):
    seen = []
    for number in range(1, count + 1):
        shard = ("--shard", f"{number}/{count}", "--seed", "1 2")
        done, lines = call("--stage", "6", "--stop-stage", "7", *shard)
        assert done.returncode == 0, done.stderr
        assert jobs(lines, "train") == jobs(lines, "decode")  # it decodes what it trained
        seen += jobs(lines, "train")
    assert sorted(seen) == [(fold, seed) for fold in "123" for seed in "12"]


def test_stages_1_and_3_hand_it_on(call):
    for stage, command in (("1", "prepare_data.py"), ("3", "sertl.bin.dump_feats")):
        done, lines = call("--stage", stage, "--stop-stage", stage, "--shard", "2/3")
        assert done.returncode == 0, done.stderr
        (line,) = lines  # and no validation of a data directory that is not there yet
        assert command in line and line.endswith("--shard 2/3")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--shard", "1/2"), "--shard is for --stage 1"),
        (("--shard", "1/2", "--stage", "3", "--stop-stage", "6"), "--shard is for --stage 1"),
        (("--shard", "1/2", "--stage", "7", "--stop-stage", "8"), "--shard is for --stage 1"),
        (("--shard", "3/2", "--stage", "3", "--stop-stage", "3"), "expected i from 1 to N"),
        (("--shard", "x", "--stage", "3", "--stop-stage", "3"), "expected i/N"),
    ],
)
def test_what_needs_other_machines_work_is_refused(call, words, what):
    done, lines = call(*words)
    assert done.returncode != 0 and what in done.stderr and not lines
