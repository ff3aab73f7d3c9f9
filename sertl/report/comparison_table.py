# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Experiments beside each other: two in detail, or several as rows tested against the first."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sertl.report.card import SPEAKER_NORMS, speaker_norm_of
from sertl.report.sections import cost_numbers, other_percent, span
from sertl.report.tables import NONE, Table, decimal, p_value, percent, spanned, with_std
from sertl.runs import find_runs
from sertl.score import significance
from sertl.score.pairing import UNITS, Scored, difference, load_scored, pair
from sertl.score.records import method_of, read_phases
from sertl.score.references import Published, load_references
from sertl.score.significance import Comparison, holm

SCORES = ["UA", "UA 95 %", "WA", "WA 95 %", "UA over folds", "UA − first", "95 %", "p", "p (Holm)"]
COSTS = ["parameters trained", "s per epoch", "s per update", "GiB", "checkpoint, MiB"]
PUBLISHED = {"ua": "UA", "wa": "WA", **other_percent(["gender_ua", "style_ua", "wer"])}


@dataclass(frozen=True)
class Row:
    """An experiment, its test against the first one, and what was published about its method."""

    run: Scored
    phases: dict
    test: Comparison | None = None
    adjusted: float | None = None
    published: Published | None = None


def compare_two(
    a: Scored, b: Scored, unit: str = "utt", intersect: bool = False, metrics: tuple = ("ua", "wa")
) -> list[Table]:
    """Tables of the scores, their difference B - A with interval and p values, and of the folds."""
    pair_a, pair_b = pair(a, b, intersect)
    rows = []
    for metric in metrics:
        test = significance.compare(pair_b, pair_a, metric, unit)
        intervals = [significance.intervals(p, unit)[metric] for p in (pair_a, pair_b)]
        rows.append(
            [
                metric.upper(),
                percent(test.b),
                spanned(intervals[0]),
                percent(test.a),
                spanned(intervals[1]),
                f"{100 * test.difference:+.2f}",
                spanned(test.interval),
                p_value(test.p_permutation),
                p_value(test.p_bootstrap),
            ]
        )
    header = ["pooled, per cent", "A", "A 95 %", "B", "B 95 %", "B − A", "B − A 95 %"]
    notes = [
        f"A: {a.exp}, {_seeds(a)}. B: {b.exp}, {_seeds(b)}.",
        f"{len(pair_a.ref)} utterances of {len(np.unique(pair_a.spk))} speakers, paired; seeds are "
        f"averaged within each system; {UNITS[unit]} are resampled.",
        "p: two-sided; approximate randomisation swaps the two systems' answers, bootstrap draws "
        "the difference again. Neither says whether another training (seed) would differ.",
    ]
    notes += [f"{run.exp}: INCOMPLETE, {w}." for run in (a, b) for w in run.summary["warnings"]]
    if found := difference(a, b):
        notes.append(f"ONLY COMMON UTTERANCES, the runs were not scored alike: {found}.")
    pooled = Table("", [*header, "p (randomisation)", "p (bootstrap)"], rows, notes)
    return [pooled] if found else [pooled, fold_differences(a, b)]


def compare_corpora(pairs: list[tuple[Scored, Scored]], unit: str = "utt") -> Table:
    """A row for each corpus, and the mean over them with its interval and p values."""
    matched = [pair(a, b) for a, b in pairs]
    rows = []
    for names, some in (
        *(
            (f"{a.corpus}: {a.name}, {b.name}", [m])
            for (a, b), m in zip(pairs, matched, strict=True)
        ),
        ("mean over corpora", matched),
    ):
        test = significance.compare_over([(b, a) for a, b in some], "ua", unit)
        rows.append(
            [
                names,
                percent(test.b),
                percent(test.a),
                f"{100 * test.difference:+.2f}",
                spanned(test.interval),
                p_value(test.p_permutation),
                p_value(test.p_bootstrap),
            ]
        )
    header = ["UA, per cent", "A", "B", "B − A", "95 %", "p (randomisation)", "p (bootstrap)"]
    notes = [
        "Every corpus has the same say. Paired; seeds are averaged within each system; "
        f"{UNITS[unit]} are resampled and swapped, in each corpus by itself. p: two-sided.",
    ]
    runs = [run for both in pairs for run in both]
    notes += [f"{run.exp}: INCOMPLETE, {w}." for run in runs for w in run.summary["warnings"]]
    return Table("", header, rows, notes)


def fold_differences(a: Scored, b: Scored) -> Table:
    """UA of every fold, mean over seeds."""
    rows, wins = [], 0
    ua_a, ua_b = a.summary["metrics"]["ua"], b.summary["metrics"]["ua"]
    for fold, group in a.summary["groups"].items():
        left, right = ua_a["per_fold"][fold]["mean"], ua_b["per_fold"][fold]["mean"]
        wins += right > left
        rows.append([fold, group, percent(left), percent(right), f"{100 * (right - left):+.2f}"])
    note = f"B is better in {wins} of {len(rows)} folds."
    return Table(
        "UA of each fold, per cent", ["fold", "leaves out", "A", "B", "B − A"], rows, [note]
    )


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
    runs = [load_scored(exp, set_name) for exp in exps]
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
        phases = read_phases(run.exp, find_runs(run.exp))
        published = None if reference is None else _published(reference, run, method_of(phases))
        rows.append(Row(run, phases, tests.get(i), adjusted.get(i), published))
    others = other_percent(name for r in runs for name in r.summary["metrics"])
    beside = [k for k in PUBLISHED if any(getattr(r.published, k, None) for r in rows)]
    header = ["experiment", "seeds", "folds", *SCORES, *others.values()]
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
    for row in rows:
        found = speaker_norm_of(row.phases)
        if found != SPEAKER_NORMS["none"]:
            notes.append(f"{row.run.name}: speaker normalisation {found}.")
    caption = first.scored_on
    words = [
        [*_scores(row, unit, i == 0), *_others(row, others, beside), *_costs(row)]
        for i, row in enumerate(rows)
    ]
    return Table(caption, header, words, notes)


def _published(reference: str | Path, run: Scored, method: str) -> Published | None:
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


def _others(row: Row, others: Iterable[str], beside: list[str]) -> list[str]:
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


def _seeds(run: Scored) -> str:
    seeds = run.summary["seeds"]
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(str(s) for s in seeds)}"
