# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The jobs of stages 4 to 7 of one experiment."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sertl.config import read_config
from sertl.jobs.job import Job
from sertl.jobs.nodes import Placement
from sertl.runs import PSEUDO_LABELS
from sertl.shard import Shard

# A batch of cached frames takes tens of megabytes. glibc gives so much back to the system at once
# and asks for it anew, page by page; kept instead, it saves most of the time spent in the system.
KEEP_MEMORY = (
    "env",
    "MALLOC_MMAP_MAX_=0",
    "MALLOC_TRIM_THRESHOLD_=8000000000",
    "MALLOC_ARENA_MAX=1",
)


@dataclass(frozen=True)
class Asked:
    """What to make jobs of.

    Attributes:
        exp: exp/<tag>, with config.yaml.
        stages: Of 4 to 7.
        seeds: One training each.
        folds: Their numbers.
        sets: Parts of a fold that stage 7 decodes.
        phase: Stage 6 trains this one alone; empty: all.
        slots: Processes side by side: as many groups, where a process does several folds.
        ngpu: Processes of one training, each with a card; 0: one on the CPU.
        place: Machines of one training.
        shard: The part of the folds and seeds that is dealt here.
        redo: Each job deletes what is there and starts again.
    """

    exp: Path
    stages: Sequence[int]
    seeds: Sequence[int]
    folds: Sequence[int]
    sets: Sequence[str] = ("test", "dev")
    phase: str = ""
    slots: int = 1
    ngpu: int = 0
    place: Placement = Placement()
    shard: Shard | None = None
    redo: bool = False


def jobs_of(asked: Asked) -> list[Job]:
    """Jobs, fold after fold: with several seeds every fold comes once before the second seed.

    Where a fold takes seconds (solved heads on pooled features), a process does several of them.

    Raises:
        SertlError: No experiment; a damaged configuration.
    """
    conf, found = read_config(asked.exp), []
    together = bool(conf["pool"])
    for seed, groups in _dealt(asked, together):
        for place, folds in enumerate(groups, start=1):
            log = f"{{name}}.{place}.log" if together else f"fold{folds[0]}/{{name}}.log"
            before: tuple[str, ...] = ()
            for job in _chain(asked, conf, seed, folds, str(asked.exp / f"seed{seed}" / log)):
                found.append(replace(job, needs=before))
                before = (found[-1].key,)
    return [_numbered(job, number) for number, job in enumerate(found)]


def _dealt(asked: Asked, together: bool) -> Iterator[tuple[int, list[list[int]]]]:
    """Of each seed, groups of folds that a process does one after another."""
    runs = [(seed, fold) for seed in asked.seeds for fold in asked.folds]
    if asked.shard is not None:
        runs = [run for i, run in enumerate(runs, start=1) if asked.shard.takes(i)]
    for seed in asked.seeds:
        own = [fold for s, fold in runs if s == seed]
        count = asked.slots if together else len(own)
        groups = [own[i::count] for i in range(count)]
        yield seed, [group for group in groups if group]


def _chain(asked: Asked, conf: dict, seed: int, folds: list[int], log: str) -> Iterator[Job]:
    """What follows one another for the folds of one process."""
    phases = [phase["name"] for phase in conf["phases"]]
    options = ["--exp", str(asked.exp), "--fold", *map(str, folds), "--seed", str(seed)]
    options += ["--ngpu", str(asked.ngpu)] + ["--redo"] * asked.redo
    train = asked.place.command(max(1, asked.ngpu), ["-m", "sertl.bin.train"])
    python = (sys.executable, "-m")

    def job(name: str, command: Sequence[str], own: Sequence[str], nodes: int = 1) -> Job:
        prefix = KEEP_MEMORY if conf["input"] == "feats" and name != PSEUDO_LABELS else ()
        words, file = (*prefix, *command, *options), log.format(name=name)
        place = (str(Path.cwd()), file, str(asked.exp))
        return Job(name, words, *place, seed, tuple(folds), tuple(own), (), nodes, asked.ngpu)

    nodes = asked.place.nodes
    if 4 in asked.stages and "teacher" in conf:
        yield job("teacher", [*train, "--phase", "teacher"], ["teacher"], nodes)
    if 5 in asked.stages and PSEUDO_LABELS in conf:
        yield job(PSEUDO_LABELS, [*python, "sertl.bin.pseudo_labels"], [])
    if 6 in asked.stages:
        own = [asked.phase] if asked.phase else phases
        yield job("train", [*train, "--phase", asked.phase], own, nodes)
    if 7 in asked.stages:
        yield job("decode", [*python, "sertl.bin.decode", "--sets", *asked.sets], [])


def _numbered(job: Job, number: int) -> Job:
    """With its own number in the command, where several machines meet: theirs is a port each."""
    return replace(job, command=tuple(w.replace("{job}", str(number)) for w in job.command))
