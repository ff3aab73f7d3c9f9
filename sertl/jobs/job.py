# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A job: one command of a stage for some folds of a seed, and the jobs that must end before it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sertl.errors import SertlError
from sertl.run_file import parse_run_json, read_run_text
from sertl.runs import Run
from sertl.schema.run_records import JobLine

REMEDY = "make the list anew (run.sh --list-jobs)"


@dataclass(frozen=True)
class Job:
    """What one process, or one group of them, does.

    Attributes:
        stage: Its name in logs and lines of progress: teacher, pseudo_labels, train, decode.
        command: Program and arguments.
        folder: Where it runs, absolute: the recipe's.
        log: Its output goes to the end of this file, below folder.
        exp: exp/<tag>, below folder.
        seed: Of its runs.
        folds: Of its runs.
        phases: That it trains; for the progress' best dev.
        needs: Keys of the jobs that must have ended well before it starts.
        nodes: Machines that run it together.
        gpus: On each of them.
    """

    stage: str
    command: tuple[str, ...]
    folder: str
    log: str
    exp: str
    seed: int
    folds: tuple[int, ...]
    phases: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    nodes: int = 1
    gpus: int = 0

    @property
    def key(self) -> str:
        """Its name, unlike that of any other job."""
        return f"{self.folder}/{self.log}"

    @property
    def runs(self) -> list[Run]:
        """The runs that it works at."""
        return [Run(Path(self.folder, self.exp), self.seed, fold) for fold in self.folds]


def write_jobs(path: str | Path, jobs: Iterable[Job]) -> None:
    """Add jobs to the end of a list, a JSON object a line."""
    with open(path, "a", encoding="utf-8") as stream:
        for job in jobs:
            stream.write(json.dumps(asdict(job)) + "\n")


def read_jobs(path: str | Path) -> list[Job]:
    """The jobs of a list.

    Raises:
        SertlError: If it is damaged, or jobs need each other in an impossible way.
    """
    found = []
    for number, line in enumerate(read_run_text(path, REMEDY).splitlines(), start=1):
        entry = parse_run_json(line, JobLine, f"{path}, line {number}", REMEDY)
        entry = {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()}
        unknown = entry.keys() - Job.__dataclass_fields__
        if unknown:
            raise SertlError(f"{path}, line {number}: unknown {', '.join(unknown)}; {REMEDY}")
        found.append(Job(**entry))
    check_order(found)
    return found


def check_order(jobs: Sequence[Job]) -> None:
    """Each job is there once, and after those that it needs.

    Raises:
        SertlError: Otherwise.
    """
    seen: set[str] = set()
    for job in jobs:
        if job.key in seen:
            raise SertlError(f"two jobs write {job.key}: the same experiment was asked for twice")
        missing = [key for key in job.needs if key not in seen]
        if missing:
            raise SertlError(f"job {job.key} needs {missing[0]}, which is not before it")
        seen.add(job.key)
