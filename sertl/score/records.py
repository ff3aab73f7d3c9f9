# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What runs have written in exp/<tag>: phases, training logs, and scores."""

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from sertl.config import phase_names
from sertl.errors import SertlError
from sertl.fingerprint import text_hash
from sertl.run_file import RETRAIN, parse_run_json, read_run_json, read_run_text
from sertl.runs import PSEUDO_LABELS, Run, find_runs
from sertl.schema.run_records import LabelsFile, LogEntry, RunFile, ScoreFile
from sertl.score.decoded import data_dir_of, hashes
from sertl.yaml_text import load_yaml

logger = logging.getLogger(__name__)


def read_scores(exp: str | Path, set_name: str) -> dict[Run, dict]:
    """The score_<set>.json of every run that has one.

    Raises:
        SertlError: If one is damaged, or older than the predictions it was made from.
    """
    scores = {}
    for run in find_runs(exp):
        path, decode = run.scored(set_name), run.decoded(set_name)
        if not path.is_file():
            continue
        scores[run] = read_score(path)
        # exp/ may have been copied here without the data; then there is nothing newer to compare
        if decode.is_dir() and data_dir_of(decode).is_dir():
            if hashes(decode) != scores[run]["inputs"]:
                raise SertlError(
                    f"{path} was made from other predictions or references than there are now; "
                    f"run stage 8 (score --set {set_name})"
                )
    return scores


@dataclass(frozen=True)
class PhaseRun:
    """One trained phase of one run.

    Attributes:
        run: Whose.
        name: Of the phase; its folder.
        facts: Content of run.json.
        log: Entries of log.jsonl in their order; [] if there is none.
    """

    run: Run
    name: str
    facts: dict
    log: list[dict]

    @property
    def folder(self) -> Path:
        """exp/<tag>/seed<s>/fold<k>/<phase>."""
        return self.run.phase(self.name)


def read_phases(exp: str | Path, runs: list[Run]) -> dict[str, list[PhaseRun]]:
    """Finished phases by name, in the order of training; unfinished ones are named in the log."""
    found: dict[str, list[PhaseRun]] = {}
    for run in runs:
        for path in sorted(run.folder.iterdir()):
            if (path / "run.json").is_file():
                one = PhaseRun(run, path.name, read_facts(path / "run.json"), read_log(path))
                found.setdefault(path.name, []).append(one)
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
    teacher = ["teacher"] if conf.get("teacher") else []
    teacher += [PSEUDO_LABELS] if conf.get("pseudo_labels") else []
    return teacher + phase_names(exp)


def read_log(folder: Path) -> list[dict]:
    """Entries of log.jsonl; a last line cut short by a kill is left out.

    Raises:
        SertlError: If another line is not JSON.
    """
    path = folder / "log.jsonl"
    if not path.is_file():
        return []
    text = read_run_text(path, RETRAIN)
    lines = text.splitlines()
    if text and not text.endswith("\n"):
        lines.pop()
    entries = []
    for number, line in enumerate(lines, start=1):
        entries.append(parse_run_json(line, LogEntry, f"{path}:{number}", RETRAIN))
    return entries


def read_score(path: Path) -> dict:
    """A score_<set>.json.

    Raises:
        SertlError: If it is damaged.
    """
    remedy = "delete it and run stage 8 again"
    found = read_run_json(path, ScoreFile, remedy)
    if found.pop("seal", None) != sealed(found)["seal"]:
        raise SertlError(f"{path} was changed after scoring; {remedy}")
    return found


def sealed(score: dict) -> dict:
    """A score with a hash of itself, so that a changed file is noticed."""
    return {**score, "seal": text_hash(json.dumps(score, sort_keys=True))}


def read_facts(path: Path) -> dict:
    """run.json of a phase.

    Raises:
        SertlError: If it is damaged.
    """
    kind = LabelsFile if path.parent.name == PSEUDO_LABELS else RunFile
    return read_run_json(path, kind, RETRAIN)


def read_commands(exp: str | Path) -> list[str]:
    """Different command lines of command.txt, in their order, without the time stamps."""
    path = Path(exp) / "command.txt"
    if not path.is_file():
        return []
    lines = read_run_text(path, "delete it").splitlines()
    stamp = re.compile(r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\dZ?\s+")
    return list(
        dict.fromkeys(command for line in lines if (command := stamp.sub("", line).strip()))
    )


def method_of(phases: dict[str, list[PhaseRun]]) -> str:
    """Name of the method's conf; empty if no phase says it.

    The last phase is the experiment's own; earlier ones may have come from another experiment.
    """
    last = list(phases.values())[-1:]
    return next((one.facts.get("method", "") for runs in last for one in runs), "")
