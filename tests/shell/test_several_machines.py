# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""run.sh on several machines: which commands it runs for --shard, --cluster and the like."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = """#!/usr/bin/env bash
if [[ $1 == -c ]]; then exit; fi
if [[ " $* " == *" sertl.bin.configure "* ]]; then
  printf '%s\\n' tag=t dump=dump/x dumped=true teacher=false pseudo_labels=false \\
    phases=main other_data= other_dumps= other_frames= frames=none pool= normalise=false \\
    dump_layers=
  exit
fi
echo "$*" >> calls
"""


@pytest.fixture
def call(tmp_path):
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
    fake.write_text(PYTHON)
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


def test_the_jobs_of_stages_4_to_7_are_dealt_by_one_command(call):
    words = ("--shard", "2/4", "--seed", "1 2", "--folds", "1 3")
    done, lines = call("--stage", "6", "--stop-stage", "7", *words)
    assert done.returncode == 0, done.stderr
    (line,) = lines
    assert " --exp exp/t --stages  6 7 --seeds 1 2 --folds 1 3" in line
    assert line.endswith("--shard 2/4")
    assert "Stage 6" in done.stderr and "Stage 4" not in done.stderr


def test_a_site_s_cmd_sh_says_where_jobs_run_and_options_come_after_it(call, tmp_path):
    (tmp_path / "egs/x/cmd.sh").write_text("cluster=slurm cluster_set=(partition=long time=60)\n")
    _, (line,) = call("--stage", "6", "--stop-stage", "6", "--cluster-set", "time=90")
    assert "--cluster slurm --cluster-set partition=long time=60 time=90" in line
    _, (line,) = call("--stage", "6", "--stop-stage", "6", "--cluster", "local")
    assert "--cluster local" in line


def test_jobs_are_listed_for_a_grid(call):
    _, (line,) = call("--stage", "4", "--stop-stage", "7", "--list-jobs", "/x/jobs.jsonl")
    assert "--list /x/jobs.jsonl" in line


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
        (("--list-jobs", "j", "--stage", "4"), "--list-jobs is for some of stages 4 to 7"),
        (("--cluster", "pbs"), "--cluster is local or slurm, got 'pbs'"),
        (("--nnodes", "2"), "--nnodes is for --stage 4 or 6 alone"),
        (("--nnodes", "0"), "at least one machine"),
        (("--nj", "0"), "--nj is 0, expected 1 or more"),
        (("--phase", "pretrain"), "--phase pretrain: linear has main"),
    ],
)
def test_options_that_do_not_go_together_are_refused(call, words, what):
    done, lines = call(*words)
    assert done.returncode != 0 and what in done.stderr and not lines
