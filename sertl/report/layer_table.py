# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Layers of a frozen encoder beside each other: UA with intervals, and what would be chosen."""

from collections import Counter

import numpy as np

from sertl.report.plots import BLUE, GREY, ORANGE, figure, plain, to_png
from sertl.report.tables import Table, decimal, percent, spanned
from sertl.score.significance import Predictions, intervals


def layer_rows(found: dict) -> list[dict]:
    """UA of each layer with its intervals, and in how many folds it would be chosen.

    Args:
        found: From stages/layer_scan.py.
    """
    picks = Counter(int(np.argmax(row)) for row in found["inner"])
    inner = np.mean(found["inner"], axis=0)
    rows = []
    for place, layer in enumerate(found["layers"]):
        said = Predictions(
            np.array(found["ref"]),
            np.array([found["hyp"][place]]),
            np.array(found["spk"]),
            len(found["labels"]),
        )
        rows.append(
            {
                "layer": layer,
                "ua": said.score("ua"),
                "utt": intervals(said, "utt")["ua"],
                "spk": intervals(said, "spk")["ua"],
                "inner": float(inner[place]),
                "chosen": picks[place],
            }
        )
    return rows


def layer_table(found: dict, rows: list[dict]) -> Table:
    """One row per layer."""
    words = [
        [
            str(r["layer"]),
            percent(r["ua"]),
            spanned(r["utt"]),
            spanned(r["spk"]),
            decimal(-r["inner"]),
            str(r["chosen"]),
        ]
        for r in rows
    ]
    header = ["layer", "UA", "95 %, utterances", "95 %, speakers", "inner loss", "chosen in folds"]
    notes = [
        f"Solved on train + dev, folds pooled ({len(found['folds'])}); speaker normalisation "
        f"{found['speaker_norm']}. Inner loss and choice: {found['judged_by']}; the UA of the test "
        "sets chooses nothing."
    ]
    return Table("UA of each layer alone, per cent", header, words, notes)


def layer_figure(found: dict, rows: list[dict]) -> bytes:
    """UA by layer with intervals over utterances; what the folds would choose is marked."""
    fig = figure(6.4, 3.4)
    axes = fig.subplots()
    x = np.array([r["layer"] for r in rows])
    ua = np.array([100 * r["ua"] for r in rows])
    low, high = (np.array([100 * r["utt"][end] for r in rows]) for end in (0, 1))
    errors = np.maximum(np.stack([ua - low, high - ua]), 0.0)
    axes.errorbar(x, ua, errors, color=BLUE, ecolor=GREY, capsize=3, marker="o", lw=1.5)
    for row, value in zip(rows, ua, strict=True):
        axes.annotate(f"{value:.1f}", (row["layer"], value), xytext=(7, 3), fontsize=8.5,
                      textcoords="offset points")  # fmt: skip
        if row["chosen"]:
            axes.plot(row["layer"], value, "o", ms=12, mfc="none", mec=ORANGE, mew=2)
    axes.set_xticks(x)
    chosen = ", ".join(f"{r['layer']} ({r['chosen']})" for r in rows if r["chosen"])
    plain(axes, f"Chosen by training speakers: layer (folds) {chosen}", "layer", "UA, per cent")
    return to_png(fig)
