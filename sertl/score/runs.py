# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What lies in exp/<tag>: its folds and seeds, phases, training logs, and scores."""

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from sertl.config import load_yaml
from sertl.errors import SertlError
from sertl.score.decoded import data_dir_of, hashes

logger = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class Cell:
    """One training: a seed and a fold, and its folder exp/<tag>/seed<s>/fold<k>."""

    seed: int
    fold: int
    folder: Path


def find_cells(exp: str | Path, folds: list[int] = (), seeds: list[int] = ()) -> list[Cell]:
    """Cells of an experiment, by seed and then fold.

    Args:
        exp: exp/<tag>.
        folds: Only these; all that are there if empty.
        seeds: Likewise.

    Raises:
        SertlError: If there is none, or one that is asked for is missing.
    """
    exp = Path(exp)
    if not exp.is_dir():
        raise SertlError(f"{exp}: no such experiment; run stage 6 (train), or check --exp")
    cells = []
    for path in exp.glob("seed*/fold*"):
        match = re.fullmatch(r"seed(\d+)/fold(\d+)", path.relative_to(exp).as_posix())
        if match and path.is_dir():
            cells.append(Cell(int(match[1]), int(match[2]), path))
    wanted_seeds = list(seeds) or sorted({cell.seed for cell in cells})
    wanted_folds = list(folds) or None
    found = {(cell.seed, cell.fold) for cell in cells}
    missing = [
        f"seed{seed}/fold{fold}"
        for seed in wanted_seeds
        for fold in (wanted_folds or [None])
        if (fold is not None and (seed, fold) not in found)
        or (fold is None and not any(s == seed for s, _ in found))
    ]
    if missing or not cells:
        raise SertlError(
            f"{exp} lacks {', '.join(missing) or 'seed<s>/fold<k> folders'}; run stage 6 (train) "
            "and 7 (decode) for them"
        )
    return sorted(
        c for c in cells if c.seed in wanted_seeds and (not wanted_folds or c.fold in wanted_folds)
    )


def read_scores(exp: str | Path, set_name: str) -> dict[Cell, dict]:
    """The score_<set>.json of every cell that has one.

    Raises:
        SertlError: If one is damaged, or older than the predictions it was made from.
    """
    scores = {}
    for cell in find_cells(exp):
        path = cell.folder / f"score_{set_name}.json"
        decode = cell.folder / f"decode_{set_name}"
        if not path.is_file():
            continue
        scores[cell] = read_json(path)
        # exp/ may have been copied here without the data; then there is nothing newer to compare
        if decode.is_dir() and data_dir_of(decode).is_dir():
            if hashes(decode) != scores[cell]["inputs"]:
                raise SertlError(
                    f"{path} was made from other predictions or references than there are now; "
                    f"run stage 8 (score --set {set_name})"
                )
    return scores


@dataclass(frozen=True)
class PhaseRun:
    """One trained phase of one cell.

    Attributes:
        cell: Where.
        name: Of the phase; its folder.
        run: Content of run.json.
        log: Entries of log.jsonl in their order; [] if there is none.
    """

    cell: Cell
    name: str
    run: dict
    log: list[dict]

    @property
    def folder(self) -> Path:
        """exp/<tag>/seed<s>/fold<k>/<phase>."""
        return self.cell.folder / self.name


def read_phases(exp: str | Path, cells: list[Cell]) -> dict[str, list[PhaseRun]]:
    """Finished phases by name, in the order of training; unfinished ones are named in the log."""
    found: dict[str, list[PhaseRun]] = {}
    for cell in cells:
        for path in sorted(cell.folder.iterdir()):
            if (path / "run.json").is_file():
                run = PhaseRun(cell, path.name, read_json(path / "run.json"), read_log(path))
                found.setdefault(path.name, []).append(run)
            elif (path / "log.jsonl").is_file():
                logger.warning("%s: training is not finished, left out", path)
    order = phase_order(exp)
    names = sorted(found, key=lambda n: (order.index(n) if n in order else len(order), n))
    return {name: found[name] for name in names}


def phase_order(exp: str | Path) -> list[str]:
    """Names of the phases in config.yaml, stages 4 and 5 first; [] if there is no such file."""
    path = Path(exp) / "config.yaml"
    if not path.is_file():
        return []
    conf = load_yaml(path)
    teacher = [conf["teacher"].get("name", "teacher")] if conf.get("teacher") else []
    teacher += ["pseudo_labels"] if conf.get("pseudo_labels") else []
    return teacher + [phase["name"] for phase in conf.get("phases", [])]


def read_log(folder: Path) -> list[dict]:
    """Entries of log.jsonl; a last line cut short by a kill is left out.

    Raises:
        SertlError: If another line is not JSON.
    """
    path = folder / "log.jsonl"
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    if text and not text.endswith("\n"):
        lines.pop()
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise SertlError(f"{path}:{number}: not valid JSON ({error})") from error
    return entries


def read_json(path: Path) -> dict:
    """Read a JSON file of ours.

    Raises:
        SertlError: If it is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise SertlError(f"{path}: not valid JSON ({error}); delete it and run again") from error


def read_commands(exp: str | Path) -> list[str]:
    """Different command lines of command.txt, in their order, without the time stamps."""
    path = Path(exp) / "command.txt"
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    stamp = re.compile(r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\dZ?\s+")
    return list(
        dict.fromkeys(command for line in lines if (command := stamp.sub("", line).strip()))
    )


def method_of(phases: dict[str, list[PhaseRun]]) -> str:
    """Name of the method's conf; empty if no phase says it.

    The last phase is the experiment's own; earlier ones may have come from another experiment.
    """
    last = list(phases.values())[-1:]
    return next((run.run.get("method", "") for runs in last for run in runs), "")
