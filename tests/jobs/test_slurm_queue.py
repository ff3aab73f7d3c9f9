# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Jobs on a real Slurm, started by tools/local_slurm.sh; skipped where its packages are not."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_jobs import shell

from sertl.errors import SertlError
from sertl.jobs import slurm_queue
from sertl.jobs.board import StageBoard
from sertl.jobs.job import write_jobs
from sertl.jobs.schedule import run_jobs
from sertl.jobs.slurm_queue import SlurmQueue, minutes

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("slurmctld", "slurmd", "sbatch", "squeue", "scontrol")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A Slurm of two nodes with four slots each."""
    lacking = [name for name in NEEDED if shutil.which(name) is None]
    if lacking:
        pytest.skip(f"no {lacking[0]}: apt-get install slurmctld slurmd slurm-client")
    pytest.importorskip("submitit", reason="submitit is not installed: the extra cluster")
    folder = tmp_path_factory.mktemp("slurm")
    script = ROOT / "tools/local_slurm.sh"
    began = subprocess.run([script, "start", folder, "4"], capture_output=True, text=True)
    assert began.returncode == 0, began.stderr
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    os.environ["PYTHONPATH"] = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"
    yield folder
    subprocess.run([script, "stop", folder], check=True, capture_output=True)
    os.environ.pop("SLURM_CONF") if before is None else os.environ.update(SLURM_CONF=before)


def bad_of(jobs, folder, **settings):
    queue = SlurmQueue(folder / "slurm", {"poll": "1", **settings})
    board = StageBoard(jobs, io.StringIO(), lambda job: None)
    return [job.log for job in run_jobs(jobs, queue, board)]


def states():
    words = ["squeue", "--noheader", "--array", "--format=%i %T"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]


def test_order_failure_and_logs(cluster, tmp_path, caplog):
    jobs = [
        shell(tmp_path, "a", "sleep 0.5; echo a >> order"),
        shell(tmp_path, "below/b", "echo what went wrong >&2; exit 3"),
        shell(tmp_path, "c", "echo c >> order; cat", ["a"]),
        shell(tmp_path, "d", "touch d", ["below/b"]),
    ]
    assert bad_of(jobs, tmp_path) == ["below/b.log", "d.log"]
    assert (tmp_path / "order").read_text().split() == ["a", "c"]
    assert (tmp_path / "below/b.log").read_text() == "what went wrong\n"
    assert "failed (status 3), see" in caplog.text and "what went wrong" in caplog.text
    assert not (tmp_path / "d").exists()


def test_a_job_is_put_back_before_its_time_is_over(cluster, tmp_path):
    """Slurm's warning, sent here by hand; the command starts again and finds what it left."""
    script = "if [[ -e begun ]]; then echo again > done; else touch begun; sleep 600; fi"
    sent = tmp_path / "sent"
    warn = shell(
        tmp_path, "warn",
        f"""while [[ ! -e begun ]]; do sleep 0.2; done; sleep 1
        id=$(squeue -h --array -o %i -t running | head -1)
        touch {sent}; scancel --signal=USR2 "$id"
        for n in $(seq 40); do # Slurm itself waits two minutes before it starts it again
          sleep 3; [[ -e done ]] && break
          scontrol update jobid="$id" starttime=now 2> /dev/null
        done; true""",
    )  # fmt: skip
    assert bad_of([shell(tmp_path, "a", script), warn], tmp_path) == []
    assert sent.exists() and (tmp_path / "done").read_text() == "again\n"


def test_a_job_that_slurm_ends_is_a_failure(cluster, tmp_path, caplog):
    script = 'scancel --full "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}"; sleep 600'
    assert bad_of([shell(tmp_path, "a", script)], tmp_path) == ["a.log"]
    assert "signal SIGTERM" in caplog.text or "Slurm's own log" in caplog.text


def test_a_squeue_that_fails_now_and_then_ends_nothing(cluster, tmp_path, monkeypatch, caplog):
    real, calls = slurm_queue._states, []

    def states_or_not():
        calls.append(1)
        if len(calls) <= 4:
            raise SertlError("squeue does not answer: timed out")
        return real()

    monkeypatch.setattr(slurm_queue, "_states", states_or_not)
    assert bad_of([shell(tmp_path, "a", "sleep 6; touch a")], tmp_path) == []
    assert (tmp_path / "a").exists() and caplog.text.count("timed out") == 1


def test_settings_reach_sbatch_and_arrays_keep_to_the_limit(cluster, tmp_path):
    jobs = [shell(tmp_path, str(n), "echo $SLURM_CPUS_PER_TASK $SLURM_JOB_NODELIST") for n in "12"]
    assert bad_of(jobs, tmp_path, parallel="1", cpus_per_task="2", nodelist="b") == []
    assert [(tmp_path / f"{n}.log").read_text() for n in "12"] == ["2 b\n"] * 2
    with pytest.raises(SertlError, match="sbatch took no jobs: .*artition"):
        bad_of(jobs, tmp_path, partition="none")


def test_a_signal_cancels_what_is_queued_and_running(cluster, tmp_path):
    jobs = [shell(tmp_path, str(n), f"touch begun{n}; sleep 600") for n in range(12)]
    write_jobs(tmp_path / "list", jobs)
    command = [sys.executable, "-m", "sertl.bin.run_jobs", "--jobs", "list", "--cluster", "slurm"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        while not list(tmp_path.glob("begun*")):
            time.sleep(0.1)
        assert len(states()) == 12
        process.send_signal(signal.SIGTERM)
        assert process.wait(600) == 143
    while states():  # against a hang: the suite's timeout
        time.sleep(0.1)


def test_a_job_of_two_nodes_runs_on_both(cluster, tmp_path):
    job = shell(tmp_path, "a", "echo $SLURM_NODEID of $SLURM_NNODES", nodes=2)
    assert bad_of([job], tmp_path) == []
    assert (tmp_path / "a.log").read_text() == "0 of 2\n"
    assert (tmp_path / "a.log.node1").read_text() == "1 of 2\n"


@pytest.mark.parametrize(
    ("text", "number"),
    [("240", 240), ("90:30", 91), ("4:00:00", 240), ("1-12", 2160), ("1-12:30", 2190)],
)
def test_times_are_sbatch_s(text, number):
    assert minutes(text) == number


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4", "0", "-5"])
def test_other_times_are_refused(text):
    with pytest.raises(SertlError, match="time="):
        minutes(text)


def test_a_warning_that_comes_at_once_is_refused(cluster, tmp_path):
    with pytest.raises(SertlError, match="signal=90: seconds before the end of 1 min"):
        SlurmQueue(tmp_path, {"time": "1", "signal": "90"})


def test_without_slurm_it_is_said(tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="submitit is not installed: the extra cluster")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SertlError, match="scontrol does not answer here"):
        SlurmQueue(tmp_path, {})
