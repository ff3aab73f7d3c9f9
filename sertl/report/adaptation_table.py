# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Source and target scores of adapted models, before and after: what was gained and forgotten.

An experiment's kind is read off its configuration: source only (no target data), target only,
pooled (both in the last phase), two-stage (source first, then target).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sertl.errors import SertlError
from sertl.fingerprint import differences
from sertl.report.tables import NONE, Table, p_value, percent, spanned
from sertl.run_file import understanding
from sertl.score.pairing import UNITS, Scored, load_scored, pair
from sertl.score.significance import Comparison, compare
from sertl.yaml_text import load_yaml

KINDS = ("source only", "target only", "pooled", "two-stage")
TARGET, SOURCE = "fold", "fold/source_train"  # in data_conf.train of a phase


@dataclass(frozen=True)
class Adapted:
    """One experiment on a pair.

    Attributes:
        kind: One of KINDS.
        share: Of the target's training data, 0 to 1.
        conf: Its config.yaml.
        source, target: Scored on the source's test set and on the target's.
    """

    kind: str
    share: float
    conf: dict
    source: Scored
    target: Scored


def load_adapted(exp: str | Path) -> Adapted:
    """Read an experiment of egs/adaptation.

    Raises:
        SertlError: It was trained on neither side, or is not scored on both test sets.
    """
    exp = Path(exp)
    conf = load_yaml(exp / "config.yaml")
    with understanding(exp / "config.yaml", "give a new --tag, or --redo to write it anew"):
        kind, share = _kind(exp, conf)
    return Adapted(kind, share, conf, load_scored(exp, "source_test"), load_scored(exp, "test"))


def _kind(exp: Path, conf: dict) -> tuple[str, float]:
    """What it was trained on, and the share of the target's training set."""
    seen = [set(phase["data_conf"]["train"]) for phase in conf["phases"]]
    if not any(sources & {TARGET, SOURCE} for sources in seen):
        raise SertlError(f"{exp}: no phase trains on {TARGET} or {SOURCE}; is it of a pair?")
    if not any(TARGET in sources for sources in seen):
        kind, share = "source only", 0.0
    else:
        share = conf["phases"][-1]["data_conf"]["share"]
        other = len(Path(conf["phases"][-1]["init"]["from"] or "").parts) > 1  # another experiment
        if {TARGET, SOURCE} <= seen[-1]:
            kind = "pooled"
        elif other or any(SOURCE in sources for sources in seen):
            kind = "two-stage"
        else:
            kind = "target only"
    return kind, share


def adaptation_tables(exps: list[str | Path], unit: str = "utt") -> list[Table]:
    """The scores of every experiment on both sides, and paired tests of them.

    Args:
        exps: exp/<tag> of one pair, exactly one of them source only.
        unit: What is resampled, "utt" or "spk".

    Raises:
        SertlError: None or several are source only; a second stage did not start from that one;
            the experiments were not scored on the same utterances.
    """
    runs = [load_adapted(exp) for exp in exps]
    runs.sort(key=lambda r: (KINDS.index(r.kind), r.share, r.target.name))
    first = [run for run in runs if run.kind == "source only"]
    if len(first) != 1:
        raise SertlError(
            "expected one experiment that is trained on the source only, found "
            f"{', '.join(r.source.name for r in first) or 'none'}"
        )
    base = first[0]
    for run in runs:
        if run.kind == "two-stage":
            check_start(run, base)
    return [scores(runs, base), tests(runs, base, unit)]


def check_start(run: Adapted, base: Adapted) -> None:
    """Refuse a second stage that did not start from what `base` is: there is no "before" for it.

    Raises:
        SertlError: Naming the other start, or the difference of the first stages.
    """
    init = Path(run.conf["phases"][-1]["init"]["from"])
    if len(init.parts) > 1:
        if base.source.name not in init.parts:
            raise SertlError(
                f"{run.source.exp} starts from {init}, but the source-only experiment given is "
                f"{base.source.exp}"
            )
        return
    own = next(phase for phase in run.conf["phases"] if phase["name"] == init.name)
    lines = differences(base.conf["phases"][0], own)
    if lines:
        raise SertlError(
            f"the first stage of {run.source.exp} is not that of {base.source.exp}: "
            + "; ".join(lines)
        )


def scores(runs: list[Adapted], base: Adapted) -> Table:
    """UA and WA on both test sets; of two-stage models, the source also before stage 2."""
    rows = []
    for run in runs:
        row = [run.target.name, run.kind, f"{100 * run.share:g}"]
        for metric in ("ua", "wa"):
            before, after = pooled(base.source, metric), pooled(run.source, metric)
            if run.kind == "two-stage":
                row += [percent(before), percent(after), f"{100 * (before - after):+.2f}"]
            else:
                row += [NONE, percent(after), NONE]
        rows.append([*row, *(percent(pooled(run.target, metric)) for metric in ("ua", "wa"))])
    header = ["experiment", "trained on", "target data, %"]
    for metric in ("UA", "WA"):
        header += [f"source {metric} before", f"source {metric}", f"forgetting {metric}"]
    source, goal = (len({utt for _, utt in run.keys}) for run in (base.source, base.target))
    notes = [
        f"Source: {source} test utterances, target: {goal}, answers of all "
        f"{len(base.target.hashes)} folds pooled; mean over seeds. Before: {base.source.name}. "
        "Forgetting: before minus after, so that less is better. Speakers of both test sets are in "
        "no stage."
    ]
    notes += _warnings(runs)
    return Table("Per cent", [*header, "target UA", "target WA"], rows, notes)


def tests(runs: list[Adapted], base: Adapted, unit: str) -> Table:
    """UA of each model minus that of the source-only one, and of the target-only one."""
    alone = {run.share: run for run in runs if run.kind == "target only"}
    rows = []
    for run in runs:
        if run is base:
            continue
        against = alone.get(run.share) if run.kind != "target only" else None
        rows.append(
            [
                run.target.name,
                *_cells(paired(base.source, run.source, unit)),
                *_cells(paired(base.target, run.target, unit)),
                *_cells(paired(against.target, run.target, unit) if against else None),
            ]
        )
    names = [
        "source, against source only",
        "target, against source only",
        "target, against target only with as much data",
    ]
    header = ["experiment", *(word for name in names for word in (name, "95 %", "p"))]
    note = (
        f"Differences of UA in points, above zero: better. Paired bootstrap over {UNITS[unit]}; an "
        "utterance that several folds test is drawn with all of its answers. p: paired approximate "
        "randomisation, two-sided, not corrected for the number of rows."
    )
    return Table("Paired tests", header, rows, [note])


def pooled(run: Scored, metric: str) -> float:
    """A metric on the predictions of all folds, mean over seeds."""
    return run.summary["metrics"][metric]["pooled"]["mean"]


def paired(before: Scored, after: Scored, unit: str) -> Comparison:
    """UA of one run minus that of another.

    The source has fewer or more groups than the target has folds, or an official test set: an
    utterance may be in several folds, and is then one unit of resampling.
    """
    a, b = pair(before, after)
    if unit == "utt":
        ids = np.array([utt for _, utt in before.keys])  # pair() keeps the order of the first
        a, b = replace(a, spk=ids), replace(b, spk=ids)
    return compare(b, a, "ua", "spk")


def _cells(test: Comparison | None) -> list[str]:
    if test is None:
        return [NONE] * 3
    p = p_value(test.p_permutation)
    return [f"{100 * test.difference:+.2f}", spanned(test.interval), p]


def _warnings(runs: list[Adapted]) -> list[str]:
    """What is incomplete, and where; that an utterance is in several folds is expected here."""
    found: dict[str, list[str]] = {}
    for run in runs:
        for warning in {*run.target.summary["warnings"], *run.source.summary["warnings"]}:
            if "several folds" not in warning:
                found.setdefault(warning, []).append(run.target.name)
    return [f"INCOMPLETE, {w}: {', '.join(names)}." for w, names in sorted(found.items())]
