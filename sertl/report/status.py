# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""How far an experiment is: every phase of every seed and fold, from the files it writes."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sertl import fingerprint
from sertl.config import read_config
from sertl.lock import held
from sertl.report.tables import Table, percent
from sertl.runs import PSEUDO_LABELS, Run
from sertl.score.records import read_facts, read_log, read_score

DONE, RUNNING, STOPPED, WAITING = "done", "running", "stopped", "waiting"
STATES = (DONE, RUNNING, STOPPED, WAITING)


@dataclass(frozen=True)
class PhaseStatus:
    """A phase of a seed and fold.

    Attributes:
        name: Of the phase.
        state: One of STATES; stopped: begun, and no process is at it (on this disk).
        made: Updates, or epochs, as it is budgeted; None where nothing is logged yet.
        budget: Of them; 0 where it has none.
        unit: update or epoch.
        dev_ua: Of its best dev so far; None without.
        sec: Since it began, or that it took.
    """

    name: str
    state: str
    made: int | None = None
    budget: int = 0
    unit: str = "epoch"
    dev_ua: float | None = None
    sec: float | None = None

    def words(self) -> str:
        """For a cell of the table."""
        if self.state == WAITING:
            return "–"
        words = [self.state]
        if self.state != DONE and self.made is not None:
            words.append(f"{self.unit} {self.made}" + (f" of {self.budget}" if self.budget else ""))
        words += [f"dev UA {percent(self.dev_ua)}"] if self.dev_ua is not None else []
        words += [duration(self.sec)] if self.sec is not None else []
        return ", ".join(words)


def phases_of(exp: Path) -> tuple[list[dict], Path]:
    """Conf of each phase of stages 4 to 6, in their order, and the folder of the folds."""
    conf = read_config(exp)
    found = [conf["teacher"]] if "teacher" in conf else []
    found += [{"name": PSEUDO_LABELS}] if PSEUDO_LABELS in conf else []
    return [*found, *conf["phases"]], Path(conf["data"])


def status_of(run: Run, phase: dict) -> PhaseStatus:
    """Look at one phase.

    Raises:
        SertlError: A damaged file of the run.
    """
    name, folder = phase["name"], run.phase(phase["name"])
    record, busy = fingerprint.read_fingerprint(folder), held(folder)
    if record is None:
        return PhaseStatus(name, RUNNING if busy else WAITING)
    done = record["state"] == fingerprint.Progress.DONE.value
    log = read_log(folder)
    optim = phase.get("optim_conf", {})
    unit = "update" if optim.get("updates") else "epoch"
    made = log[-1].get(unit) if log else None
    best = [entry.get("ua") for entry in log if entry.get("best")]
    sec = _seconds(folder, log) if done else time.time() - _begun(folder)
    state = DONE if done else RUNNING if busy else STOPPED
    budget = optim.get("updates") or optim.get("epochs") or 0
    return PhaseStatus(name, state, made, budget, unit, best[-1] if best else None, sec)


def _begun(folder: Path) -> float:
    return (folder / fingerprint.FILE).stat().st_mtime


def _seconds(folder: Path, log: Sequence[dict]) -> float | None:
    if log:
        return sum(entry.get("sec", 0.0) for entry in log)
    path = folder / "run.json"
    return read_facts(path).get("seconds") if path.is_file() else None


def experiment_status(
    exp: Path, seeds: Sequence[int] = (), folds: Sequence[int] = ()
) -> dict[Run, list[PhaseStatus]]:
    """Every phase of each seed and fold.

    Args:
        exp: exp/<tag>.
        seeds: Those to come too; those that have begun are there anyway.
        folds: Those to come; all of the data if empty.

    Raises:
        SertlError: No experiment; damaged files.
    """
    phases, data = phases_of(exp)
    there = [run for p in exp.glob("seed*/fold*") if p.is_dir() and (run := Run.of(p))]
    wanted = {run.fold for run in there} | {*(folds or _folds_of(data))}
    cells = {(seed, fold) for seed in {*seeds, *(run.seed for run in there)} for fold in wanted}
    runs = [Run(exp, seed, fold) for seed, fold in sorted(cells)]
    return {run: [status_of(run, phase) for phase in phases] for run in runs}


def status_table(exp: Path, found: Mapping[Run, Sequence[PhaseStatus]]) -> Table:
    """A row for each seed and fold."""
    rows = []
    for run, states in found.items():
        decoded = fingerprint.read_fingerprint(run.decoded("test"))
        done = decoded is not None and decoded["state"] == fingerprint.Progress.DONE.value
        words = [one.words() for one in states]
        rows.append([str(run.seed), str(run.fold), *words, "done" if done else "–", _score(run)])
    head = ["seed", "fold", *(p["name"] for p in phases_of(exp)[0]), "decoded", "test UA"]
    return Table("", head, rows, [summary([one for own in found.values() for one in own])])


def _folds_of(data: Path) -> range:
    path = data / "num_folds"
    text = path.read_text().strip() if path.is_file() else ""
    return range(1, int(text) + 1) if text.isdecimal() else range(0)


def _score(run: Run) -> str:
    path = run.scored("test")
    found = read_score(path).get("emotion") if path.is_file() else None
    return percent(found["ua"]) if found else "–"


def summary(found: Sequence[PhaseStatus]) -> str:
    """Counts by state, and what is left at the pace so far."""
    counts = Counter(one.state for one in found)
    words = [f"{counts[DONE]} of {len(found)} jobs done"]
    words += [f"{counts[state]} {state}" for state in STATES[1:] if counts[state]]
    left = 0.0
    for name in {one.name for one in found}:
        own = [one for one in found if one.name == name]
        took = [one.sec for one in own if one.state == DONE and one.sec is not None]
        rest = [one for one in own if one.state != DONE]
        if rest and not took:
            return ", ".join(words)  # nothing to judge it by
        for one in rest:
            spent = (one.sec or 0.0) if one.state == RUNNING else 0.0
            left += max(0.0, sum(took) / len(took) - spent)
    if counts[RUNNING] and left:
        words.append(f"about {duration(left / counts[RUNNING])} left")
    return ", ".join(words)


def duration(sec: float) -> str:
    """45 s, 12 min, 3.5 h."""
    if sec < 100:
        return f"{sec:.0f} s"
    return f"{sec / 60:.0f} min" if sec < 6000 else f"{sec / 3600:.1f} h"
