# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""UA against the number of clips that a speaker is known by, and against their skew."""

import numpy as np

from sertl.report.plots import COLOURS, GREY, figure, plain, to_png
from sertl.report.tables import NONE, Table, percent, spanned
from sertl.score.significance import Predictions, intervals
from sertl.stages.enrolment import ALL

CLASSES = {0: "all", 1: "one", 2: "two", -1: "neutral only"}


def enrolment_rows(found: dict) -> list[dict]:
    """UA of each condition, mean over draws, with interval and spread.

    Args:
        found: From stages/enrolment.py.
    """
    rows = []
    for row in found["rows"]:
        said = Predictions(
            np.array(found["ref"]),
            np.array(row["hyp"]),
            np.array(found["spk"]),
            len(found["labels"]),
        )
        alone = [Predictions(said.ref, h[None], said.spk, said.num_classes) for h in said.hyp]
        uas = [one.score("ua") for one in alone]
        std = float(np.std(uas, ddof=1)) if len(uas) > 1 else None
        rows.append({**row, "ua": said.score("ua"), "utt": intervals(said)["ua"], "std": std})
    return rows


def prior_name(prior: float | None) -> str:
    """In words."""
    if prior is None:
        return "estimated"
    return f"{prior:g} clips" if prior else "none"


def enrolment_table(found: dict, rows: list[dict]) -> Table:
    """A row per condition."""
    words = [
        [
            "all" if r["clips"] == ALL else str(r["clips"]),
            CLASSES[r["classes"]],
            prior_name(r["prior"]),
            percent(r["ua"]),
            spanned(r["utt"]),
            percent(r["std"]) if r["std"] is not None else NONE,
        ]
        for r in rows
    ]
    low, high = min(found["priors"]), max(found["priors"])
    note = (
        f"Estimated priors are {low:.1f} to {high:.1f} clips. Without any clip everybody gets the "
        "training mean, which is speaker normalisation none."
    )
    header = ["clips", "classes", "prior", "UA", "95 %, utterances", "std over draws"]
    return Table("UA by what a speaker is known by, per cent", header, words, [note])


def enrolment_figure(rows: list[dict]) -> bytes:
    """Left: UA against the number of clips; right: against skew; a colour for each prior."""
    fig = figure(8.6, 3.5)
    left, right = fig.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    priors = list(dict.fromkeys(r["prior"] for r in rows))
    counts = list(dict.fromkeys(r["clips"] for r in rows if not r["classes"]))
    skews = [k for k in (0, 2, 1, -1) if any(r["classes"] == k for r in rows)]
    clips = next((r["clips"] for r in rows if r["classes"]), None)
    for colour, prior in zip(COLOURS, priors, strict=False):
        own = {(r["clips"], r["classes"]): r for r in rows if r["prior"] == prior}
        line = [100 * own[c, 0]["ua"] for c in counts]
        left.plot(range(len(counts)), line, marker="o", color=colour, label=prior_name(prior))
        bars = [100 * own[clips, k]["ua"] if (clips, k) in own else np.nan for k in skews]
        right.plot(range(len(skews)), bars, marker="s", color=colour, lw=0.8)
    floor = next(100 * r["ua"] for r in rows if r["clips"] == 0)
    for axes in (left, right):
        axes.axhline(floor, color=GREY, lw=1, ls="--")
    left.set_xticks(range(len(counts)), ["all" if c == ALL else str(c) for c in counts])
    right.set_xticks(range(len(skews)), [CLASSES[k] for k in skews])
    left.legend(title="prior", fontsize=8.5, title_fontsize=8.5, frameon=False)
    plain(left, "Clips of all classes (dashed: none)", "clips of the speaker", "UA, per cent")
    plain(right, f"{clips} clips of some classes", "classes")
    return to_png(fig)
