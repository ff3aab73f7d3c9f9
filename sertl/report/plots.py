# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Figures of one set's scores: confusion, folds, duration. Each returns a PNG as bytes.

Colours are told apart by people with any colour vision (Okabe and Ito) and every value that a
colour shows is also printed. Class order is that of the labels everywhere.
"""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from PIL import Image

BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#E69F00", "#009E73", "#9AA1A9", "#1F2933"
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#D55E00")  # of lines, in this order
DPI = 144
# White is zero. The darkest end still leaves dark print readable (contrast above 6)
_BLUES = ListedColormap(np.linspace((1, 1, 1), (0.46, 0.69, 0.90), 256), name="light_blues")


def figure(width_in: float, height_in: float) -> Figure:
    """An empty figure in the report's style, independent of the user's matplotlib settings."""
    return Figure(figsize=(width_in, height_in), dpi=DPI, layout="constrained", facecolor="white")


def to_png(fig: Figure) -> bytes:
    """Render with a palette of 256 colours, which makes a chart three times smaller."""
    canvas, stream = FigureCanvasAgg(fig), io.BytesIO()
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(stream, "png", optimize=True)
    return stream.getvalue()


def plain(axes: Axes, title: str, xlabel: str = "", ylabel: str = "") -> None:
    """Title, axis names and a quiet frame."""
    axes.set_title(title, fontsize=11, color=INK, loc="left", pad=9)
    axes.set_xlabel(xlabel, fontsize=9.5, color=INK)
    axes.set_ylabel(ylabel, fontsize=9.5, color=INK)
    axes.tick_params(labelsize=9, colors=INK, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)


def confusion(counts: np.ndarray, labels: list[str], num_seeds: int) -> bytes:
    """Counts, and the same divided by row, side by side.

    Args:
        counts: (C, C), averaged over seeds; rows are references.
        labels: Class names in index order.
        num_seeds: Named in the title if more than one.
    """
    counts = np.asarray(counts, dtype=np.float64)
    rows = counts.sum(axis=1, keepdims=True)
    share = np.divide(100 * counts, rows, out=np.zeros_like(counts), where=rows > 0)
    size = 1.7 + 0.62 * len(labels)
    fig = figure(2 * size + 0.6, size + 0.15)
    mean = f" (mean of {num_seeds} seeds)" if num_seeds > 1 else ""
    digits = ".1f" if num_seeds > 1 and counts.max() < 1000 else ".0f"
    left, right = fig.subplots(1, 2)
    # counts are coloured by row share too: otherwise the largest class is all one sees
    _matrix(left, share, counts, digits, labels, f"Utterances{mean}")
    _matrix(right, share, share, ".1f", labels, "Per cent of each row")
    right.set_ylabel("")
    return to_png(fig)


def _matrix(axes: Axes, shade, shown, digits: str, labels: list[str], title: str) -> None:
    plain(axes, title, "predicted", "reference")
    _heat(axes, shade, labels, labels, rotate=len(labels) > 5)
    for i, row in enumerate(shown):
        for j, value in enumerate(row):
            _print(axes, j, i, f"{value:{digits}}", 9, bold=i == j)


def _heat(axes: Axes, shade: np.ndarray, columns, rows, rotate=False, aspect="equal") -> None:
    """Cells shaded by per cent, without a frame."""
    axes.imshow(shade, cmap=_BLUES, vmin=0, vmax=100, aspect=aspect)
    axes.set_xticks(range(len(columns)), columns, rotation=40 if rotate else 0)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def heat_map(axes: Axes, values: np.ndarray, columns, rows, title: str) -> None:
    """Per cent (R, C) as shaded cells with their numbers; a cell without one stays white."""
    plain(axes, title)
    _heat(axes, np.nan_to_num(values), columns, rows, rotate=True, aspect="auto")
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            _print(axes, j, i, "–" if np.isnan(value) else f"{value:.1f}", 9)


def _print(axes: Axes, x: float, y: float, text: str, size: float, colour=INK, bold=False) -> None:
    """Centred text in data coordinates."""
    weight = "bold" if bold else "normal"
    axes.text(x, y, text, ha="center", va="center", fontsize=size, color=colour, weight=weight)


def fold_bars(entries: dict[str, dict], groups: dict[str, str], pooled_ua: float) -> bytes:
    """UA and WA of every fold, mean over seeds, with a dot for each seed.

    Args:
        entries: "ua" and "wa" -> fold -> spread() of the seeds.
        groups: fold -> what it tests.
        pooled_ua: UA of the pooled predictions, drawn as a dashed line.
    """
    folds = list(groups)
    fig = figure(min(13.0, max(6.0, 3.2 + 0.75 * len(folds))), 3.3)
    axes = fig.subplots()
    plain(axes, "Test score of each fold (bar: mean over seeds; dots: seeds)", "", "per cent")
    for shift, (name, colour) in ((-0.2, ("ua", BLUE)), (0.2, ("wa", ORANGE))):
        for x, fold in enumerate(folds):
            entry = entries[name]["per_fold"].get(fold)
            if entry is None:
                continue
            height = 100 * entry["mean"]
            axes.bar(x + shift, height, 0.38, color=colour, label=name.upper() if x == 0 else None)
            text_colour = "white" if colour == BLUE else INK
            _print(axes, x + shift, 4, f"{height:.0f}", 8, text_colour, bold=True)
            seeds = [100 * value for value in entry["by_seed"].values()]
            if len(seeds) > 1:
                axes.plot([x + shift] * len(seeds), seeds, ".", color=INK, markersize=4)
    axes.axhline(100 * pooled_ua, color=BLUE, linestyle="--", linewidth=1.2, label="UA, pooled")
    axes.set_xticks(range(len(folds)), [f"fold {k}\n{groups[k]}" for k in folds])
    axes.set_ylim(0, 100)
    fig.legend(fontsize=8.5, frameon=False, ncols=3, loc="outside lower center")
    return to_png(fig)


def duration(bins: list[dict], labels: list[str]) -> bytes:
    """Recall of each class, and UA, by duration of the utterance; a cell also holds its n."""
    fig = figure(max(5.6, 2.2 + 1.0 * len(bins)), 1.5 + 0.46 * (len(labels) + 1))
    axes = fig.subplots()
    plain(axes, "Recall by duration, per cent (small: number of utterances)", "seconds", "")
    rows = [*labels, "UA"]
    values = np.full((len(rows), len(bins)), np.nan)
    for j, part in enumerate(bins):
        for i, label in enumerate(labels):
            if part["recall"][label] is not None:
                values[i, j] = 100 * part["recall"][label]
        values[-1, j] = 100 * part["ua"]
    _heat(axes, np.nan_to_num(values), [bin_name(part) for part in bins], rows, aspect="auto")
    for j, part in enumerate(bins):
        for i, label in enumerate(rows):
            if np.isnan(values[i, j]):
                _print(axes, j, i, "none", 8, "#6B7280")
                continue
            n = part["n"] if label == "UA" else part["support"][label]
            _print(axes, j, i - 0.1, f"{values[i, j]:.0f}", 9.5, bold=label == "UA")
            _print(axes, j, i + 0.32, f"{n}", 6.8)
    axes.axhline(len(labels) - 0.5, color="white", linewidth=3)
    return to_png(fig)


def bin_name(part: dict) -> str:
    """ "2–3" or "15 or more", in seconds."""
    if part["to_sec"] is None:
        return f"{part['from_sec']:g} or more"
    return f"{part['from_sec']:g}–{part['to_sec']:g}"
