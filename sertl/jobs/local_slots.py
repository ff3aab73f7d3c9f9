# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Jobs on this machine: so many processes side by side."""

import logging
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from sertl.errors import check_count
from sertl.jobs.job import Job

logger = logging.getLogger(__name__)
GRACE_SEC = 8.0  # between asking a job to end and making it; less than run.sh gives


class LocalSlots:
    """A Backend of processes.

    Args:
        slots: At most so many at a time.

    Raises:
        SertlError: If none may run.
    """

    poll_sec = 0.1

    def __init__(self, slots: int) -> None:
        check_count("a limit of jobs side by side (--nj)", slots)
        self._slots = slots
        self._active: list[tuple[Job, subprocess.Popen]] = []

    def room(self) -> int:
        """As Backend."""
        return self._slots - len(self._active)

    def start(self, jobs: Sequence[Job]) -> None:
        """As Backend. Ctrl-C in a terminal reaches this process alone, which then stops them."""
        for job in jobs:
            path = Path(job.folder, job.log)
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "ab") as log:
                process = subprocess.Popen(
                    job.command,
                    cwd=job.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    preexec_fn=_deaf_to_the_terminal,
                )
            self._active.append((job, process))

    def ended(self) -> list[tuple[Job, str]]:
        """As Backend."""
        over = [(job, process) for job, process in self._active if process.poll() is not None]
        self._active = [one for one in self._active if one not in over]
        return [(job, _words(process.returncode)) for job, process in over]

    def running(self) -> list[Job]:
        """As Backend."""
        return [job for job, _ in self._active]

    def stop(self) -> None:
        """As Backend: SIGTERM, and SIGKILL to what is still there after GRACE_SEC."""
        for _, process in self._active:
            process.terminate()
        end = time.monotonic() + GRACE_SEC
        for job, process in self._active:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning("%s does not end when told to: killed", job.log)
                process.kill()
                process.wait()
        self._active = []


def _deaf_to_the_terminal() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _words(status: int) -> str:
    if status < 0:
        return f"signal {signal.Signals(-status).name}"
    return f"status {status}" if status else ""
