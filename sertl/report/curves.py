# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Figures of the training: learning curves, diagnostics of the targets, layer weights."""

import math
from collections.abc import Callable

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from sertl.report.plots import BLUE, GREY, INK, figure, plain, to_png
from sertl.score.records import PhaseRun

DEV_SCORES = (("ua", "dev UA, per cent", 100), ("ccc", "dev mean CCC", 1), ("loss", "dev loss", 1))
_NOT_STATS = {"kind", "epoch", "update", "sec", "data_wait_sec", "best"}
_MAX_PANELS = 12  # panels


def learning_curves(runs: list[PhaseRun]) -> bytes | None:
    """Training loss and dev score of one phase by update, a line per fold and seed; None if no log.

    The dev panel shows the first of UA, mean CCC and loss that was logged; what was selected is
    marked. A phase without labels has a third panel: a head solved on its frozen output. Logs that
    do not count updates are drawn by epoch. Without a dev set there is only the left panel.
    """
    logged = [p for p in runs if any(e["kind"] == "train" for e in p.log)]
    if not logged:
        return None
    entries = [e for p in logged for e in p.log]
    dev = [e for e in entries if e["kind"] == "dev"]
    step = "update" if all("update" in e for e in dev) else "epoch"
    score = next((s for s in DEV_SCORES if any(s[0] in e for e in dev)), None)
    drawn = [("train", "loss", 1, "Training", "training loss")]
    if score:
        drawn.append(("dev", score[0], score[2], "Development set (dot: selected)", score[1]))
    if any(e["kind"] == "frozen_head" for e in entries):
        title = "A head solved on the frozen output"
        drawn.append(("frozen_head", "ua", 100, title, "dev UA, per cent"))
    fig = figure((6.2, 11.0, 15.0)[len(drawn) - 1], 3.3)
    panels = np.atleast_1d(fig.subplots(1, len(drawn)))
    for axes, (kind, name, scale, title, label) in zip(panels, drawn, strict=True):
        plain(axes, title, step, label)

        def values(p: PhaseRun, kind: str = kind, name: str = name, scale: float = scale) -> dict:
            return scaled(by_epoch(p.log, kind, name, step), scale)

        _lines(axes, logged, values, step if kind == "dev" else "")
    handles, names = panels[0].get_legend_handles_labels()
    unique = dict(zip(names[::-1], handles[::-1], strict=True))  # the first of each name
    unique = {name: unique[name] for name in dict.fromkeys(names)}
    fig.legend(
        unique.values(),
        unique.keys(),
        loc="outside right center",
        fontsize=8,
        frameon=False,
        ncols=1 if len(unique) <= 15 else 2,
    )
    return to_png(fig)


def diagnostics(runs: list[PhaseRun]) -> bytes | None:
    """Every number of the log's `diagnostics` entries, one panel each; None if there is none."""
    logged = [p for p in runs if any(e["kind"] == "diagnostics" for e in p.log)]
    entries = [e for p in logged for e in p.log if e["kind"] == "diagnostics"]
    stats = dict.fromkeys(
        key
        for e in entries
        for key, value in e.items()
        if key not in _NOT_STATS and isinstance(value, (int, float))
    )
    stats = list(stats)[:_MAX_PANELS]
    if not stats:
        return None
    step = "update" if any("update" in e for e in entries) else "epoch"
    columns = min(3, len(stats))
    lines = math.ceil(len(stats) / columns)
    fig = figure(3.7 * columns, 2.5 * lines)
    panels = fig.subplots(lines, columns, squeeze=False).ravel()
    for axes, stat in zip(panels, stats, strict=False):
        plain(axes, stat.replace("_", " "), step, "")
        _lines(axes, logged, lambda p, s=stat: by_epoch(p.log, "diagnostics", s, step))
    for axes in panels[len(stats) :]:
        axes.set_visible(False)
    return to_png(fig)


def layer_weights(runs: list[PhaseRun]) -> bytes | None:
    """Learned weight of each hidden state of the encoder; see _weights."""
    layers = next((p.facts["layers"] for p in runs if p.facts.get("layers")), None)
    return _weights(runs, "layer_weights", layers, "Layer weights", "hidden state")


def layer_scores(runs: list[PhaseRun]) -> bytes | None:
    """What every layer alone scored on held-out training speakers: mean and range over runs.

    None if nothing was chosen so.
    """
    key = next((k for p in runs for k in p.facts if k.startswith("layer_scores ")), "")
    found = [p for p in runs if len(p.facts.get(key) or []) == len(p.facts["layers"]) > 1]
    if not found:
        return None
    layers, task = found[0].facts["layers"], key.split()[1]
    table = np.array([p.facts[key] for p in found if p.facts["layers"] == layers])  # (runs, L)
    fig = figure(min(12.0, max(4.6, 2.4 + 0.36 * len(layers))), 3.0)
    axes = fig.subplots()
    plain(axes, f"{task}: layers on held-out training speakers", "hidden state", "score")
    axes.fill_between(layers, table.min(axis=0), table.max(axis=0), color=BLUE, alpha=0.15, lw=0)
    axes.plot(layers, table.mean(axis=0), color=BLUE, marker="o")
    axes.set_xticks(layers)
    return to_png(fig)


def wap_weights(runs: list[PhaseRun]) -> bytes | None:
    """Learned weight of each block of a WAP adapter; see _weights."""
    return _weights(runs, "wap_weights", None, "Weights of the adapter's blocks", "block")


def _weights(
    runs: list[PhaseRun], key: str, names: list[int] | None, title: str, xlabel: str
) -> bytes | None:
    """Mean and range over folds and seeds of the weights under key; names count from 1 if None.

    None if the phase weighs nothing, or but one.
    """
    found = [p for p in runs if len(p.facts.get(key) or []) > 1]
    if not found:
        return None
    weights = [p.facts[key] for p in found]
    if names is None or any(len(row) != len(names) for row in weights):
        names = list(range(1, len(weights[0]) + 1))
        weights = [row for row in weights if len(row) == len(names)]
    table = np.array(weights)  # (runs, L)
    fig = figure(min(12.0, max(4.6, 2.4 + 0.36 * len(names))), 3.0)
    axes = fig.subplots()
    plain(axes, f"{title} (bar: mean, line: range)", xlabel, "weight")
    places = range(len(names))
    axes.bar(places, table.mean(axis=0), 0.7, color=BLUE)
    axes.vlines(places, table.min(axis=0), table.max(axis=0), color=INK, linewidth=1.2)
    axes.axhline(1 / len(names), color=GREY, linestyle="--", linewidth=1, zorder=0)
    axes.text(
        len(names) - 0.45, 1 / len(names), " uniform", fontsize=8, color="#6B7280", va="center"
    )
    axes.set_xticks(places, [str(name) for name in names])
    axes.set_ylim(bottom=0)
    return to_png(fig)


def by_epoch(log: list[dict], kind: str, stat: str, step: str = "epoch") -> dict[float, float]:
    """Mean of a number over the entries of each epoch (several a epoch, if logged by update)."""
    values: dict[float, list[float]] = {}
    for entry in log:
        value = entry.get(stat)
        if entry["kind"] == kind and isinstance(value, (int, float)) and math.isfinite(value):
            values.setdefault(entry.get(step, entry.get("epoch", 0)), []).append(value)
    return {x: sum(found) / len(found) for x, found in sorted(values.items())}


def scaled(values: dict[float, float], factor: float) -> dict[float, float]:
    """Every value times factor."""
    return {x: factor * value for x, value in values.items()}


def _lines(
    axes: Axes, runs: list[PhaseRun], series: Callable[[PhaseRun], dict], mark: str = ""
) -> None:
    """One line per run: colour by fold, the first seed strong and the others faint.

    What was selected is marked, by epoch or update.
    """
    folds = sorted({p.run.fold for p in runs})
    first_seed = min(p.run.seed for p in runs)
    palette = matplotlib.colormaps["viridis"](np.linspace(0, 0.92, len(folds)))
    for p in runs:
        points = series(p)
        if not points:
            continue
        strong = p.run.seed == first_seed
        colour = palette[folds.index(p.run.fold)]
        axes.plot(
            points.keys(),
            points.values(),
            color=colour,
            linewidth=1.4 if strong else 0.8,
            alpha=1.0 if strong else 0.45,
            marker="o" if len(points) == 1 else None,
            markersize=3,
            label=f"fold {p.run.fold}",
        )
        chosen = (p.facts.get("selected") or {}).get(mark)
        if mark and chosen in points:
            axes.plot(chosen, points[chosen], "o", color=colour, markersize=5 if strong else 3)
    axes.grid(axis="y", color="#E5E7EB", linewidth=0.8)
    axes.set_axisbelow(True)
