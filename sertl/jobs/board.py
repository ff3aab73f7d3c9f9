# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A line for each stage: jobs done, running, failed, best dev so far, time left."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from sertl.errors import SertlError
from sertl.jobs.job import Job
from sertl.jobs.schedule import SKIPPED
from sertl.report.status import duration, status_of
from sertl.report.tables import percent

EVERY_SEC = 10.0  # in a log; on a terminal the lines change in place, each second
TERMINAL_SEC = 1.0


@dataclass
class _Stage:
    total: int = 0
    counts: Counter = field(default_factory=Counter)
    running: int = 0
    timed: int = 0  # jobs that were begun and ended well meanwhile
    spent: float = 0.0  # their seconds
    dev: float | None = None

    @property
    def ended(self) -> int:
        return sum(self.counts.values())

    def left(self) -> float | None:
        """Seconds at the pace so far; None with nothing to judge it by."""
        if self.ended == self.total:
            return 0.0
        rest = (self.total - self.ended) / max(1, self.running)
        return self.spent / self.timed * rest if self.timed else None


class StageBoard:
    """A Board.

    Args:
        jobs: All that will come.
        stream: Where to.
        dev_of: Best dev UA of a job so far; None: as its runs' logs say.
        every_sec: Between two reports; None: EVERY_SEC, or TERMINAL_SEC on a terminal.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        stream: TextIO = sys.stderr,
        dev_of: Callable[[Job], float | None] | None = None,
        every_sec: float | None = None,
    ) -> None:
        self._stages: dict[str, _Stage] = {}
        for job in jobs:
            self._stages.setdefault(job.stage, _Stage()).total += 1
        self._stream = stream
        one = len({(job.folder, job.exp) for job in jobs}) == 1  # scores of several do not compare
        self._dev_of = (dev_of or best_dev) if one else _no_dev
        self._in_place = stream.isatty()
        default = TERMINAL_SEC if self._in_place else EVERY_SEC
        self._every = default if every_sec is None else every_sec
        self._begun: dict[str, float] = {}
        # Of jobs that have run before, a part or all may be done: their time says nothing.
        self._before = {j.key for j in jobs if "--redo" not in j.command and Path(j.key).is_file()}
        self._told, self._shown, self._last = time.monotonic(), 0, ""

    def started(self, jobs: Sequence[Job]) -> None:
        """As Board."""
        for job in jobs:
            self._begun[job.key] = time.monotonic()

    def ended(self, job: Job, why: str) -> None:
        """As Board."""
        stage = self._stages[job.stage]
        if not why:
            stage.counts["done"] += 1
            if job.key not in self._before:
                stage.timed += 1
                stage.spent += time.monotonic() - self._begun[job.key]
            self._note_dev(job)
        else:
            stage.counts["skipped" if why == SKIPPED else "failed"] += 1
        self._shown = 0  # what is logged meanwhile stays above

    def look(self, running: Sequence[Job]) -> None:
        """As Board."""
        over = all(stage.ended == stage.total for stage in self._stages.values())
        if not over and time.monotonic() - self._told < self._every:
            return
        self._told = time.monotonic()
        counts = Counter(job.stage for job in running)
        for name, stage in self._stages.items():
            stage.running = counts[name]
        for job in running:
            self._note_dev(job)
        self._show([f"  {line}" for line in self.lines()])

    def lines(self) -> list[str]:
        """One for each stage; none is over before the one that it waits for."""
        width, found, left = max(map(len, self._stages), default=0), [], 0.0
        for name, stage in self._stages.items():
            own = stage.left()
            left = None if own is None or left is None else max(own, left)
            found.append(f"{name:<{width}}  {_words(stage, left)}")
        return found

    def _note_dev(self, job: Job) -> None:
        found, stage = self._dev_of(job), self._stages[job.stage]
        if found is not None and (stage.dev is None or found > stage.dev):
            stage.dev = found

    def _show(self, lines: list[str]) -> None:
        text = "\n".join(lines)
        if text == self._last and not self._in_place:
            return
        self._last = text
        if self._in_place and self._shown:
            self._stream.write(f"\x1b[{self._shown}A")
        end = "\x1b[K\n" if self._in_place else "\n"
        self._stream.write("".join(line + end for line in lines))
        self._stream.flush()
        self._shown = len(lines)


def _words(stage: _Stage, left: float | None) -> str:
    words = [f"{stage.counts['done']} of {stage.total} done"]
    words += [f"{stage.running} running"] if stage.running else []
    words += [f"{stage.counts[w]} {w}" for w in ("failed", "skipped") if stage.counts[w]]
    words += [f"best dev UA {percent(stage.dev)}"] if stage.dev is not None else []
    words += [f"about {duration(left)} left"] if left and stage.ended < stage.total else []
    return ", ".join(words)


def _no_dev(_job: Job) -> None:
    return None


def best_dev(job: Job) -> float | None:
    """Best dev UA of a job's runs so far, as their logs say; None without."""
    found = []
    for run in job.runs:
        for name in job.phases:
            try:
                found.append(status_of(run, {"name": name}).dev_ua)
            except SertlError:  # half written; the job itself says so if it is damaged
                continue
    return max((one for one in found if one is not None), default=None)
