# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The option parser of run.sh: forms, arrays, refusals, and that nothing is evaluated."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """#!/usr/bin/env bash
# What it does.
# Copyright
set -euo pipefail
. {root}/tools/log.sh
script=$0
# options
stage=0          # first stage
name="1"         # a text that looks like a number
redo=false       # a switch
set=()           # key=value ...
# end of options
internal=kept
. {root}/tools/parse_options.sh
printf '%s|%s|%s|%s|%s' "$stage" "$name" "$redo" "${{set[*]-}}" "$internal"
"""


@pytest.fixture
def call(tmp_path):
    script = tmp_path / "script.sh"
    script.write_text(SCRIPT.format(root=ROOT))

    def run(*args):
        return subprocess.run(
            ["bash", str(script), *args], capture_output=True, text=True, cwd=tmp_path, timeout=600
        )

    return run


@pytest.mark.parametrize("folder", [".", "egs", "egs/emodb"])
def test_run_sh_knows_its_options_from_any_folder(folder):
    """`egs/mini/run.sh --help` as in the README: the script has left for its own folder."""
    script = os.path.relpath(ROOT / "egs/mini/run.sh", ROOT / folder)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    call = {"cwd": ROOT / folder, "env": env, "capture_output": True, "text": True, "timeout": 600}
    done = subprocess.run([script, "--help"], **call)
    assert done.returncode == 0 and "--stop-stage" in done.stdout and not done.stderr
    done = subprocess.run([script, "--stge", "1"], **call)
    assert "unknown option --stge (did you mean --stage?)" in done.stderr


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], "0|1|false||kept"),
        (["--stage", "3"], "3|1|false||kept"),
        (["--stage=3", "--name="], "3||false||kept"),
        (["--name", "1 2 3"], "0|1 2 3|false||kept"),
        (["--redo"], "0|1|true||kept"),
        (["--redo", "--stage", "2"], "2|1|true||kept"),
        (["--redo", "false"], "0|1|false||kept"),
        (["--set", "a=1", "b=2", "--set", "c=3"], "0|1|false|a=1 b=2 c=3|kept"),
        (["--name", "$(touch evil)"], "0|$(touch evil)|false||kept"),
        (["--set=a=`touch evil`"], "0|1|false|a=`touch evil`|kept"),
    ],
)
def test_accepted(call, tmp_path, args, expected):
    done = call(*args)
    assert (done.returncode, done.stdout) == (0, expected), done.stderr
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--stage"], "--stage needs a value"),
        (["--stage", "--redo"], "--stage needs a value"),
        (["--stage", "abc"], "--stage needs a whole number, got 'abc'"),
        (["--stage", "08"], "--stage needs a whole number, got '08'"),
        (["--stage="], "--stage needs a whole number, got ''"),
        (["--redo=maybe"], "--redo is true or false, got 'maybe'"),
        (["--set"], "--set needs a value"),
        (["--stagee", "1"], "unknown option --stagee (did you mean --stage?)"),
        (["--internal", "x"], "unknown option --internal"),
        (["--PATH", "x"], "unknown option --PATH"),
        (["word"], "unexpected argument 'word'"),
    ],
)
def test_refused(call, args, message):
    done = call(*args)
    assert done.returncode == 1
    assert message in done.stderr


def test_help_prints_the_header_and_the_defaults(call):
    done = call("--help")
    assert done.returncode == 0
    assert "What it does." in done.stdout and "Copyright" not in done.stdout
    assert "--stage" in done.stdout and "first stage [0]" in done.stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", "1"), ("01 1 2", "1 2"), ("", ""), ("  3\n2 ", "3 2"), ("010", "10"), ("0", "0")],
)
def test_whole_numbers(text, expected):
    assert numbers(text).stdout == expected


@pytest.mark.parametrize("text", ["/etc/*", "1.5", "-1", "one", "1 2x", "9999999999", "$(id)"])
def test_what_is_no_whole_number_is_refused(text):
    done = numbers(text)
    assert done.returncode != 0 and done.stdout.strip() != "reached"
    assert "--seed takes whole numbers, got '" in done.stderr


def numbers(text):
    script = (
        f"set -euo pipefail; script=$0; . {ROOT}/tools/log.sh; t=$1; set --; "
        f'. {ROOT}/tools/parse_options.sh; x=$(whole_numbers --seed "$t"); printf %s "$x"'
    )
    return subprocess.run(["bash", "-c", script, "x", text], capture_output=True, text=True)
