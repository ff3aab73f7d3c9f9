# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A command of a script: its status and input, and a signal to the script ends it too."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAD = f"set -euo pipefail; . {ROOT}/tools/log.sh; . {ROOT}/tools/jobs.sh;"


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
def test_a_signal_to_the_script_ends_its_command_too(tmp_path, sent, status):
    """To the script alone, not to the terminal's whole group."""
    script = "job bash -c 'echo $$ > pid; exec sleep 600'"
    with subprocess.Popen(
        ["bash", "-c", HEAD + script],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
    ) as process:
        file = tmp_path / "pid"
        while not (file.is_file() and file.read_text().endswith("\n")):
            time.sleep(0.05)
        process.send_signal(sent)
        _, err = process.communicate(timeout=600)
    assert process.returncode == status and "stopped; the same command goes on" in err
    while alive(int(file.read_text())):
        time.sleep(0.05)


def test_a_lone_command_keeps_its_status_and_its_input():
    script = HEAD + "job cat; job bash -c 'exit 7'; echo unreached"
    done = subprocess.run(["bash", "-c", script], input="hello", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (7, "hello")
