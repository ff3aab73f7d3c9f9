# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Jobs in order, failures, signals; on this machine's slots."""

import io
import os
import signal
import subprocess
import sys
import time

import pytest
from fake_jobs import shell

from sertl.errors import SertlError
from sertl.jobs.board import StageBoard
from sertl.jobs.job import write_jobs
from sertl.jobs.local_slots import LocalSlots
from sertl.jobs.schedule import run_jobs


def bad_of(jobs, slots=2):
    board = StageBoard(jobs, io.StringIO(), lambda job: None)
    return [job.log for job in run_jobs(jobs, LocalSlots(slots), board)]


def test_a_job_starts_when_those_it_needs_have_ended(tmp_path):
    jobs = [
        shell(tmp_path, "a", "sleep 0.3; echo a >> order"),
        shell(tmp_path, "b", "echo b >> order", ["a"]),
        shell(tmp_path, "c", "echo c >> order"),  # has a place at once
    ]
    assert bad_of(jobs) == []
    assert (tmp_path / "order").read_text().split() == ["c", "a", "b"]


def test_never_more_than_the_places(tmp_path):
    script = "mkdir one || echo crowded >> fault; sleep 0.1; rmdir one"
    assert bad_of([shell(tmp_path, str(n), script) for n in range(4)], slots=1) == []
    assert not (tmp_path / "fault").exists()
    with pytest.raises(SertlError, match="side by side"):
        LocalSlots(0)


def test_what_follows_a_failure_is_skipped_and_the_rest_goes_on(tmp_path, caplog):
    jobs = [
        shell(tmp_path, "a", "echo what went wrong; exit 3"),
        shell(tmp_path, "b", "touch b", ["a"]),
        shell(tmp_path, "c", "touch c", ["b"]),
        shell(tmp_path, "d", "touch d"),
        shell(tmp_path, "e", "kill -KILL $$"),
    ]
    assert bad_of(jobs, slots=1) == ["a.log", "b.log", "c.log", "e.log"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.log", "d", "d.log", "e.log"]
    assert "failed (status 3), see" in caplog.text and "what went wrong" in caplog.text
    assert "signal SIGKILL" in caplog.text


def test_output_goes_to_the_end_of_its_log_and_there_is_no_input(tmp_path):
    job = shell(tmp_path, "below/a", "cat; echo out; echo err >&2")
    assert bad_of([job]) == bad_of([job]) == []
    assert (tmp_path / "below/a.log").read_text().split() == ["out", "err"] * 2


def heed_signals():
    """As in a shell of a user: what was ignored at the start stays ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def started(tmp_path, command):
    """Two jobs that sleep, begun by a command: its process, and the jobs' ids."""
    script = "echo $$ > {0}.part; mv {0}.part {0}; exec sleep 600"
    write_jobs(tmp_path / "list", [shell(tmp_path, n, script.format("pid" + n)) for n in "12"])
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=heed_signals
    )
    files = [tmp_path / "pid1", tmp_path / "pid2"]
    while not all(map(os.path.exists, files)):
        time.sleep(0.05)
    return process, [int(f.read_text()) for f in files]


RUN = [sys.executable, "-m", "sertl.bin.run_jobs", "--jobs", "list", "--nj", "2"]


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_jobs_too(tmp_path, sent, status):
    process, pids = started(tmp_path, RUN)
    with process:
        assert all(map(alive, pids))
        process.send_signal(sent)
        process.communicate(timeout=600)
    assert process.returncode == status
    assert not any(map(alive, pids))


def test_jobs_end_with_the_script_also_if_it_is_killed(tmp_path):
    command = ["bash", "-c", '"$@" --parent $$ & wait', "script", *RUN]
    process, pids = started(tmp_path, command)
    with process:
        process.kill()
        _, errors = process.communicate(timeout=600)  # of the jobs' runner too
    assert "the script that started these jobs is gone" in errors
    while any(map(alive, pids)):  # until init has taken note; against a hang: the suite's
        time.sleep(0.05)
