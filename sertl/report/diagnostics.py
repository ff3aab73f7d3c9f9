# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What methods have to show of themselves: `<phase>/diagnostics.json`, drawn.

Stages write a list of entries there, numbers and names only; each has a `kind` that says how it is
drawn. A new kind is a function here and a name in KINDS:

    table      title, text, header, rows (words, numbers or null)
    lines      title, axes (names of x and y), panels: [{title, lines: {name: [[x, y], …]}}]
    scatter    title, axes, points [[x, y], …], groups: {name: [value of each point]}
    timelines  title, frame_sec, rows [{name, clusters}], panels [{title, labels: a list a row}]
"""

import colorsys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sertl.report.elements import Element, Figure, Heading, Text
from sertl.report.plots import COLOURS, GREY, figure, plain, to_png
from sertl.report.tables import NONE, Table
from sertl.run_file import read_run_json, understanding
from sertl.runs import DIAGNOSTICS
from sertl.score.records import PhaseRun

MAX_BYTES = 3_000_000  # of figures in one page; what comes after them is named


def diagnostic_elements(phases: dict[str, list[PhaseRun]]) -> list[Element]:
    """The entries of every phase, fold and seed, in this order; [] if there is none."""
    found: list[Element] = []
    size = 0
    for name, runs in phases.items():
        for one in sorted(runs, key=lambda p: (p.run.seed, p.run.fold)):
            path = one.folder / DIAGNOSTICS
            if not path.is_file():
                continue
            if size > MAX_BYTES:
                found.append(Text(f"`{path}` is not shown: the page would grow too large."))
                continue
            found.append(Heading(f"{name}, {one.run}"))
            for element in draw(path, f"{name}_seed{one.run.seed}_fold{one.run.fold}"):
                size += len(element.png) if isinstance(element, Figure) else 0
                found.append(element)
    return found


def draw(path: Path, name: str) -> list[Element]:
    """The elements of one file.

    Args:
        path: diagnostics.json.
        name: Beginning of the names of figures.
    """
    found: list[Element] = []
    remedy = "delete its folder and run the stage again"
    entries = read_run_json(path, None, remedy)
    with understanding(path, remedy):
        for number, entry in enumerate(entries, start=1):
            made = KINDS[entry["kind"]](entry)
            if isinstance(made, bytes):
                alt = f"{entry['title']}, {name.replace('_', ' ')}."
                found.append(Figure(f"diagnostics_{name}_{number}", made, alt))
            else:
                found += made
    return found


def table(entry: dict) -> list[Element]:
    """A heading, a text and a table; numbers with three decimals or four digits."""
    rows = [[_word(value) for value in row] for row in entry["rows"]]
    return [Heading(entry["title"]), Text(entry["text"]), Table("", entry["header"], rows)]


def _word(value: object) -> str:
    if value is None:
        return NONE
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"
    return str(value)


def lines(entry: dict) -> bytes:
    """A panel each, with a line for each name; x values are taken as steps of equal width."""
    panels = entry["panels"]
    fig = figure(3.6 * max(1, len(panels)) + 1.0, 3.2)
    axes_of = np.atleast_1d(fig.subplots(1, max(1, len(panels))))
    steps = sorted({x for panel in panels for line in panel["lines"].values() for x, _ in line})
    for axes, panel in zip(axes_of, panels, strict=False):
        plain(axes, panel["title"], *entry["axes"])
        for number, (name, line) in enumerate(panel["lines"].items()):
            at, values = [steps.index(x) for x, _ in line], [y for _, y in line]
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(at, values, "o-", color=colour, label=name, markersize=5)
        axes.set_xticks(range(len(steps)), [str(step) for step in steps])
        axes.set_xlim(-0.4, len(steps) - 0.6)
        axes.set_ylim(bottom=0.0)
    handles, titles = axes_of[0].get_legend_handles_labels()
    fig.legend(handles, titles, loc="outside right center", fontsize=8, frameon=False)
    return to_png(fig)


def scatter(entry: dict) -> bytes:
    """The same points once for each grouping, coloured by it."""
    points, groups = np.array(entry["points"]), entry["groups"]
    fig = figure(4.2 * max(1, len(groups)), 4.2)
    axes_of = np.atleast_1d(fig.subplots(1, max(1, len(groups))))
    for axes, (name, values) in zip(axes_of, groups.items(), strict=False):
        plain(axes, f"{entry['title']} {name}", *entry["axes"])
        for i, value in enumerate(sorted(set(values))):
            of_value = np.array(values) == value
            axes.scatter(
                *points[of_value].T,
                s=9,
                color=COLOURS[i % len(COLOURS)],
                marker="os^Dvx"[i // len(COLOURS) % 6],
                label=value,
                alpha=0.8,
                linewidths=0.6,
            )
        axes.legend(
            fontsize=7,
            frameon=False,
            ncols=5,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.17),
            columnspacing=0.8,
            handletextpad=0.1,
        )
    return to_png(fig)


def timelines(entry: dict) -> bytes:
    """Labels over time: a panel an utterance, a row a label set, a colour a cluster."""
    sets, panels = entry["rows"], entry["panels"]
    fig = figure(9.0, 0.6 + len(panels) * (0.75 + 0.2 * len(sets)))
    for axes, panel in zip(np.atleast_1d(fig.subplots(len(panels), 1)), panels, strict=True):
        plain(axes, panel["title"], "seconds")
        rows = np.stack(
            [
                _colours(np.array(labels), s["clusters"])
                for s, labels in zip(sets, panel["labels"], strict=True)
            ]
        )  # (rows, T, 3)
        extent = (0, rows.shape[1] * entry["frame_sec"], len(sets), 0)
        axes.imshow(rows, aspect="auto", interpolation="nearest", extent=extent)
        axes.set_yticks(np.arange(len(sets)) + 0.5, [s["name"] for s in sets])
        axes.tick_params(axis="y", colors=GREY, labelsize=7, length=0)
    return to_png(fig)


def _colours(labels: np.ndarray, clusters: int) -> np.ndarray:
    """(T,) -> (T, 3): neighbouring ids get hues far apart (golden-ratio steps)."""
    hues = (np.arange(clusters) * 0.61803) % 1.0
    shades = 0.55 + 0.4 * ((np.arange(clusters) * 0.38197) % 1.0)
    colours = np.array([colorsys.hsv_to_rgb(h, 0.6, v) for h, v in zip(hues, shades, strict=True)])
    return colours[labels]


KINDS: dict[str, Callable[[dict], list[Element] | bytes]] = {
    "table": table,
    "lines": lines,
    "scatter": scatter,
    "timelines": timelines,
}
