# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Jobs side by side: failures reach the end, and a signal to the script ends all of them."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAD = f"set -euo pipefail; . {ROOT}/tools/log.sh; . {ROOT}/tools/jobs.sh;"


def bash(script, folder):
    return subprocess.run(
        ["bash", "-c", HEAD + script], cwd=folder, capture_output=True, text=True, timeout=600
    )


def test_a_failure_is_shown_and_stops_the_rest(tmp_path):
    script = """
        jobs_start 1 a.log true
        jobs_start 1 b.log bash -c 'echo what went wrong; exit 3'
        jobs_start 1 c.log touch too_late
        jobs_wait train; echo not reached"""
    done = bash(script, tmp_path)
    assert done.returncode != 0 and "not reached" not in done.stdout
    assert "failed (status 3), see b.log" in done.stderr and "what went wrong" in done.stderr
    assert "train: 1 job(s) failed" in done.stderr
    assert not (tmp_path / "too_late").exists()


def test_a_limit_that_starts_nothing_is_refused(tmp_path):
    done = bash("jobs_start 0 a.log true; jobs_wait x", tmp_path)
    assert done.returncode != 0 and "a limit of 0 jobs" in done.stderr


def heed_signals():
    """As in a shell of a user: bash cannot trap what was ignored when it started (nohup … &)."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_jobs_too(tmp_path, sent, status):
    """Bash starts background jobs with SIGINT ignored: Ctrl-C alone would leave them running."""
    script = """
        for n in 1 2; do jobs_start 2 $n.log bash -c 'echo $$ > pid'$n'; exec sleep 600'; done
        jobs_wait train"""
    with subprocess.Popen(
        ["bash", "-c", HEAD + script],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
    ) as process:
        files = [tmp_path / "pid1", tmp_path / "pid2"]
        while not all(f.is_file() and f.read_text().endswith("\n") for f in files):
            time.sleep(0.05)
        jobs = [int(f.read_text()) for f in files]
        assert all(map(alive, jobs))
        process.send_signal(sent)
        _, err = process.communicate(timeout=600)
    assert process.returncode == status and "stopped; the same command goes on" in err
    for pid in jobs:
        while alive(pid):  # until its parent, or init, has taken note; against a hang: the suite's
            time.sleep(0.05)


def test_a_signal_ends_a_lone_command_too(tmp_path):
    """As of stage 3: a signal to the script alone, not to the terminal's whole group."""
    script = "job bash -c 'echo $$ > pid; exec sleep 600'"
    with subprocess.Popen(
        ["bash", "-c", HEAD + script], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        file = tmp_path / "pid"
        while not (file.is_file() and file.read_text().endswith("\n")):
            time.sleep(0.05)
        process.terminate()
        _, err = process.communicate(timeout=600)
    assert process.returncode == 143 and "stopped; the same command goes on" in err
    while alive(int(file.read_text())):
        time.sleep(0.05)


def test_a_lone_command_keeps_its_status_and_its_input():
    script = HEAD + "job cat; job bash -c 'exit 7'; echo unreached"
    done = subprocess.run(["bash", "-c", script], input="hello", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (7, "hello")


def test_the_log_says_how_far_they_are(tmp_path):
    script = """JOBS_EVERY_SEC=0
        jobs_begin 3
        for n in 1 2 3; do jobs_start 1 $n.log true; done
        jobs_wait train"""
    lines = bash(script, tmp_path).stderr.splitlines()
    assert len(lines) == 2 and "1 of 3 jobs ended, 0 running, about " in lines[0]
    assert "2 of 3 jobs ended" in lines[1]
