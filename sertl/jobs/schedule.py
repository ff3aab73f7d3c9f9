# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Run a list of jobs, each when those that it needs have ended well, on any backend."""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sertl.errors import SertlError
from sertl.jobs.job import Job, check_order

logger = logging.getLogger(__name__)
LINES = 5  # of a failed job's log


class Backend(Protocol):
    """Where jobs run."""

    poll_sec: float  # between two looks

    def room(self) -> int:
        """How many more jobs it would take now."""

    def start(self, jobs: Sequence[Job]) -> None:
        """Take jobs on, at most as many as there is room for."""

    def ended(self) -> list[tuple[Job, str]]:
        """Jobs that have ended since it was last asked: "", or in words how they failed."""

    def running(self) -> list[Job]:
        """Jobs at work, without those that wait in a queue."""

    def stop(self) -> None:
        """End every job that was started."""


class Board(Protocol):
    """What shows how far the jobs are."""

    def started(self, jobs: Sequence[Job]) -> None:
        """These were handed to the backend."""

    def ended(self, job: Job, why: str) -> None:
        """It ended, with why as Backend.ended; "skipped" if what it needs has failed."""

    def look(self, running: Sequence[Job]) -> None:
        """Called at every look; says something when it is time to."""


SKIPPED = "skipped: what it needs has failed"


def run_jobs(
    jobs: Sequence[Job], backend: Backend, board: Board, parent: int | None = None
) -> list[Job]:
    """Run jobs to their end; what follows a failed job is skipped, the others go on.

    Args:
        jobs: In the order in which they are to start, each after those that it needs.
        backend: Where; it is stopped, with all that it started, by a signal.
        board: Is told.
        parent: Process id of the script that started this: when it was killed, all jobs end too.

    Returns:
        Those that failed or were skipped.

    Raises:
        SertlError: For jobs that cannot be brought in order; a parent that is gone.
    """
    check_order(jobs)
    waiting, done, bad = list(jobs), set(), {}
    with stopped_by_signals(backend.stop):
        active = 0
        while waiting or active:
            if parent is not None and os.getppid() != parent:
                raise SertlError("the script that started these jobs is gone: they are stopped")
            for job in [j for j in waiting if bad.keys() & {*j.needs}]:
                waiting.remove(job)
                bad[job.key] = job
                board.ended(job, SKIPPED)
            ready = [job for job in waiting if done >= {*job.needs}][: backend.room()]
            if ready:
                backend.start(ready)
                board.started(ready)
                active += len(ready)
                chosen = {job.key for job in ready}
                waiting = [job for job in waiting if job.key not in chosen]
            for job, why in backend.ended():
                active -= 1
                if why:
                    bad[job.key] = job
                    _show(job, why)
                else:
                    done.add(job.key)
                board.ended(job, why)
            board.look(backend.running())
            if active and not (backend.room() and any(done >= {*j.needs} for j in waiting)):
                time.sleep(backend.poll_sec)
    return list(bad.values())


def _show(job: Job, why: str) -> None:
    """The end of a failed job's log."""
    path = Path(job.folder, job.log)
    end = path.read_text(errors="replace").splitlines()[-LINES:] if path.is_file() else []
    logger.error("failed (%s), see %s:%s", why, path, "".join(f"\n  {line}" for line in end))


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM, SIGHUP and Ctrl-C, and any error, end what was started.

    A signal that the parent ignores, as of `nohup … &`, stays ignored, but for SIGTERM.
    """

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    numbers = [signal.SIGTERM]
    numbers += [n for n in (signal.SIGHUP, signal.SIGINT) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    except BaseException:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)  # once is enough
        stop()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
