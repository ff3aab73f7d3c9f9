# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Encoders and methods by corpora: one table, a heat map, and what others published beside it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sertl.report.plots import figure, heat_map, to_png
from sertl.report.tables import NONE, Table, decimal, percent, spanned
from sertl.score.pairing import Scored
from sertl.score.references import Published

MEAN = "mean"


@dataclass(frozen=True)
class Cell:
    """One encoder and method on one corpus.

    Attributes:
        corpus: Recipe, with policy and protocol where they are not its own.
        encoder, method: Names.
        exp: Its experiment.
        why: What kept it from being run; empty if nothing did.
        run: Its scores; None where it was not run.
    """

    corpus: str
    encoder: str
    method: str
    exp: Path
    why: str = ""
    run: Scored | None = None


def in_order(values: list[str]) -> list[str]:
    """Each value once, as they come first."""
    return list(dict.fromkeys(values))


def ua_of(cell: Cell | None) -> float | None:
    """Pooled UA, 0 to 1."""
    return None if cell is None or cell.run is None else _pooled(cell)["mean"]


def _pooled(cell: Cell) -> dict:
    return cell.run.summary["metrics"]["ua"]["pooled"]


def grid(cells: list[Cell]) -> tuple[list[tuple[str, str]], list[str], dict]:
    """Rows (encoder, method), columns (corpora), and the cells by both."""
    rows = in_order([(c.encoder, c.method) for c in cells])
    columns = in_order([c.corpus for c in cells])
    return rows, columns, {((c.encoder, c.method), c.corpus): c for c in cells}


def benchmark_table(cells: list[Cell]) -> Table:
    """UA with its interval in every cell; the mean of rows that have all corpora."""
    rows, columns, by = grid(cells)
    words, notes = [], []
    for row in rows:
        found = [by.get((row, column)) for column in columns]
        values = [ua_of(cell) for cell in found]
        line = list(row)
        for cell, value in zip(found, values, strict=True):
            interval = None if value is None else _pooled(cell)["interval_utt"]
            line.append(NONE if value is None else f"{percent(value)} ({spanned(interval)})")
        whole = len(columns) > 1 and None not in values
        words.append([*line, percent(float(np.mean(values))) if whole else NONE])
    notes.append(
        "UA in per cent, predictions of all folds pooled, mean over seeds, with the interval over "
        "utterances; mean: of the corpora, where a row has them all."
    )
    for cell in cells:
        if cell.why:
            notes.append(f"{cell.corpus}, {cell.encoder}, {cell.method}: not run, {cell.why}")
        elif cell.run is not None:
            notes += [
                f"{cell.corpus}, {cell.encoder}, {cell.method}: INCOMPLETE, {w}."
                for w in cell.run.summary["warnings"]
            ]
    return Table("", ["encoder", "method", *columns, MEAN], words, notes)


def corpora_table(cells: list[Cell]) -> Table:
    """What each column is: set, folds, speakers."""
    rows = []
    for corpus in in_order([c.corpus for c in cells]):
        run = next((c.run for c in cells if c.corpus == corpus and c.run), None)
        if run is not None:
            s = run.summary
            folds = f"{len(s['folds'])} of {s['num_folds']}"
            rows.append([corpus, str(len(run.labels)), str(s["n"]), str(s["num_speakers"]), folds])
    return Table("", ["corpus", "classes", "test utterances", "speakers", "folds"], rows)


def published_table(cells: list[Cell], references: dict[str, list[Published]]) -> Table | None:
    """Published numbers on these corpora under these label policies; None if there are none."""
    rows = []
    for key in in_order([c.run.corpus for c in cells if c.run is not None]):
        for one in references.get(key, []):
            numbers = [decimal(getattr(one, name), 2) for name in ("ua", "wa", "f1")]
            where = [one.folds, one.dev, one.cite]
            rows.append([key, one.upstream or NONE, one.method, *numbers, *where])
    if not rows:
        return None
    header = ["corpus", "encoder", "method", "UA", "WA", "F1", "folds", "chosen on", "source"]
    note = "Published, in per cent, under protocols of their own: not to be ranked with ours."
    return Table("", header, rows, [note])


def draw(cells: list[Cell]) -> bytes:
    """The grid as a heat map; cells that were not run stay white."""
    rows, columns, by = grid(cells)
    values = np.full((len(rows), len(columns)), np.nan)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            value = ua_of(by.get((row, column)))
            values[i, j] = np.nan if value is None else 100 * value
    names = [f"{encoder}, {method}" for encoder, method in rows]
    fig = figure(2.6 + 1.1 * len(columns), 1.2 + 0.36 * len(rows))
    heat_map(fig.subplots(), values, columns, names, "UA, per cent")
    return to_png(fig)
