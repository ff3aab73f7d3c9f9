# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""tools/grid.sh: what it runs, in which order, and what a failure changes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = """#!/usr/bin/env bash
echo "${PWD##*/} $*" >> ../../calls
if [[ " $* " == *" --list-jobs "* ]]; then echo job >> "${@: -1}"; fi
if [[ -n ${FAIL-} && "$*" == *"$FAIL"* ]]; then exit 1; fi
"""
PYTHON = f"""#!/usr/bin/env bash
case "$*" in
  -c* | *didyoumean*) exit ;;
  *sertl.bin.grid_cells*) exec {sys.executable} "$@" ;;
  *sertl.bin.run_jobs*) echo "jobs $(wc -l < "$6") $*" >> "$CALLS"; exit "${{JOBS_STATUS:-0}}" ;;
esac
echo "${{PWD##*/}} $*" >> "$CALLS"
"""


@pytest.fixture
def call(tmp_path):
    """A function: grid.sh of two corpora and two methods; (status, errors, calls)."""
    for name in ("path.sh", "sertl", "conf"):
        (tmp_path / name).symlink_to(ROOT / name)
    script = tmp_path / "tools/grid.sh"
    (tmp_path / "tools").mkdir()
    for path in (ROOT / "tools").glob("*.sh"):
        (tmp_path / "tools" / path.name).write_text(path.read_text())
    for corpus in ("emodb", "nemo"):
        (tmp_path / "egs" / corpus).mkdir(parents=True)
        (tmp_path / "egs" / corpus / "run.sh").write_text(RUN)
        (tmp_path / "egs" / corpus / "run.sh").chmod(0o755)
    fake = tmp_path / "bin/python"
    fake.parent.mkdir()
    fake.write_text(PYTHON)
    fake.chmod(0o755)
    path = f"{fake.parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "CALLS": str(tmp_path / "calls")}

    def run(*words, **more):
        given = ["--name", "g", "--corpus", "emodb --corpus-dir '/a b'", "--corpus", "nemo"]
        given += ["--upstream", "tiny", "--method", "linear", "--method", "probe", *words]
        done = subprocess.run(
            ["bash", script, *given], env={**env, **more}, capture_output=True, text=True
        )
        calls = tmp_path / "calls"
        lines = calls.read_text().splitlines() if calls.is_file() else []
        return done.returncode, done.stderr, lines

    return run


def test_data_first_then_one_list_of_jobs_then_scores_and_tables(call):
    status, errors, lines = call("--seed", "1 2", "--cluster", "slurm", "--cluster-set", "time=9")
    assert status == 0, errors
    kinds = [line.split()[0] for line in lines]
    assert kinds == ["emodb", "emodb", "nemo", "nemo"] * 2 + ["jobs"] + kinds[9:]
    assert all("--stop-stage 3" in line for line in lines[:4])
    assert all("--stage 4 --stop-stage 7 --list-jobs" in line for line in lines[4:8])
    assert lines[8].startswith("jobs 4 ") and "--cluster slurm --cluster-set time=9" in lines[8]
    assert "--tag g_tiny_probe --corpus-dir /a b --seed 1 2" in lines[1]
    assert sum("--stage 8" in line for line in lines[9:]) == 4
    (table,) = (line for line in lines if line.startswith("nemo -m sertl.bin.compare"))
    assert "--table exp/g_tiny_linear exp/g_tiny_probe --out exp/g_table.md" in table


def test_what_failed_is_not_in_the_table(call):
    status, errors, lines = call(
        JOBS_STATUS="1", FAIL="--method probe --tag g_tiny_probe --seed 1 --nj 2 --ngpu 0 --stage 8"
    )
    assert status == 1 and "g_tiny_probe: not whole, and so not in the table" in errors
    (table,) = (line for line in lines if line.startswith("nemo -m sertl.bin.compare"))
    assert "--table exp/g_tiny_linear --out" in table


def test_bad_choices_run_nothing(call):
    status, errors, lines = call("--method", "probe")
    assert status == 1 and "--method probe is there twice" in errors and not lines
