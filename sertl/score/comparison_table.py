# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Several experiments as the rows of a table, each tested against the first."""

from dataclasses import dataclass
from pathlib import Path

from sertl.score import significance
from sertl.score.compare import UNITS, Run, difference, load_run, pair
from sertl.score.references import Published, load_references
from sertl.score.runs import find_cells, method_of, read_phases
from sertl.score.sections import OTHER_PERCENT, cost_numbers, span
from sertl.score.significance import Comparison, holm
from sertl.score.tables import NONE, Table, decimal, p_value, percent, spanned, with_std

SCORES = ["UA", "UA 95 %", "WA", "WA 95 %", "UA over folds", "UA − first", "95 %", "p", "p (Holm)"]
COSTS = ["parameters trained", "s per epoch", "s per update", "GiB", "checkpoint, MiB"]
PUBLISHED = {"ua": "UA", "wa": "WA", **OTHER_PERCENT}


@dataclass(frozen=True)
class Row:
    """An experiment, its test against the first one, and what was published about its method."""

    run: Run
    phases: dict
    test: Comparison | None = None
    adjusted: float | None = None
    published: Published | None = None


def compare_table(
    exps: list[str | Path],
    set_name: str,
    unit: str = "utt",
    reference: str | Path | None = None,
) -> Table:
    """One row per experiment.

    Args:
        exps: exp/<tag>, scored.
        set_name: dev or test.
        unit: A key of UNITS.
        reference: conf/reference_results.yaml, to set published numbers of the same method, corpus
            and labels beside ours; None for none.
    """
    runs = [load_run(exp, set_name) for exp in exps]
    first = runs[0]
    tests: dict[int, Comparison] = {}
    apart = {}
    for i, run in enumerate(runs[1:], start=1):
        if found := difference(first, run):
            apart[i] = found
        else:
            paired = pair(first, run)
            tests[i] = significance.compare(paired[1], paired[0], "ua", unit)
    adjusted = dict(zip(tests, holm([t.p_permutation for t in tests.values()]), strict=True))
    rows = []
    for i, run in enumerate(runs):
        phases = read_phases(run.exp, find_cells(run.exp))
        published = None if reference is None else _published(reference, run, method_of(phases))
        rows.append(Row(run, phases, tests.get(i), adjusted.get(i), published))
    others = [name for name in OTHER_PERCENT if any(name in r.summary["metrics"] for r in runs)]
    beside = [k for k in PUBLISHED if any(getattr(r.published, k, None) for r in rows)]
    header = ["experiment", "seeds", "folds", *SCORES, *(OTHER_PERCENT[name] for name in others)]
    header += [*(f"published {PUBLISHED[key]}" for key in beside), *COSTS]
    notes = [
        f"Per cent; predictions of all folds pooled, mean over seeds; intervals and tests on "
        f"{UNITS[unit]}. p: paired approximate randomisation test of UA against the first row; "
        "Holm: corrected for the number of rows. Cost: phase + phase, mean time, largest memory.",
    ]
    if beside:
        cites = sorted(
            {f"{r.published.cite} ({r.published.upstream})" for r in rows if r.published}
        )
        notes.append(f"Published, under protocols of their own: {'; '.join(cites)}.")
    notes += [f"{runs[i].name} is not tested: {found}." for i, found in apart.items()]
    notes += [f"{run.name}: INCOMPLETE, {w}." for run in runs for w in run.summary["warnings"]]
    caption = first.scored_on
    words = [
        [*_scores(row, unit, i == 0), *_others(row, others, beside), *_costs(row)]
        for i, row in enumerate(rows)
    ]
    return Table(caption, header, words, notes)


def _published(reference: str | Path, run: Run, method: str) -> Published | None:
    """The first published result of this method on this corpus under this label policy."""
    rows = load_references(reference).get(run.corpus, [])
    return next((row for row in rows if row.method == method), None)


def _scores(row: Row, unit: str, is_first: bool) -> list[str]:
    summary = row.run.summary
    metrics = summary["metrics"]
    words = [row.run.name, str(len(summary["seeds"])), str(len(summary["folds"]))]
    for name in ("ua", "wa"):
        pooled = metrics[name]["pooled"]
        words += [percent(pooled["mean"]), spanned(pooled[f"interval_{unit}"])]
    folds = metrics["ua"]["over_folds"]
    words.append(with_std(folds["mean"], folds["std_folds"]))
    if row.test is None:
        return [*words, "reference" if is_first else NONE, NONE, NONE, NONE]
    words += [f"{100 * row.test.difference:+.2f}", spanned(row.test.interval)]
    return [*words, p_value(row.test.p_permutation), p_value(row.adjusted)]


def _others(row: Row, others: list[str], beside: list[str]) -> list[str]:
    metrics = row.run.summary["metrics"]
    words = [percent(metrics[n]["pooled"]["mean"]) if n in metrics else NONE for n in others]
    return words + [decimal(getattr(row.published, key, None), 2) for key in beside]


def _costs(row: Row) -> list[str]:
    costs = list(cost_numbers(row.phases).values())
    memory = [c["peak_rss_gib"] for c in costs if c["peak_rss_gib"] is not None]
    return [
        " + ".join(span(c["params_trained"]) for c in costs) or NONE,
        _of_phases(costs, "seconds_per_epoch", 2),
        _of_phases(costs, "seconds_per_update", 3),
        decimal(max(memory, default=None), 2),
        _of_phases(costs, "checkpoint_mib", 2),
    ]


def _of_phases(costs: list[dict], key: str, digits: int) -> str:
    """A number of each phase; a dash if none has it (experiments of earlier versions)."""
    values = [c[key] for c in costs]
    return " + ".join(decimal(v, digits) for v in values) if any(values) else NONE
