# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Pseudo-labels to look at: a table, a figure of their quality, and label timelines."""

import colorsys
from collections.abc import Mapping, Sequence

import numpy as np

from sertl.cluster.quality import OF_UTTERANCE
from sertl.data.datadir import DataDir, Utterance
from sertl.data.frame_labels import LabelSet
from sertl.score.plots import COLOURS, GREY, figure, plain, to_png

SHOWN = 4  # utterances in the timelines


def quality_table(qualities: Mapping[str, dict[str, dict]], infos: Mapping[str, dict]) -> str:
    """Markdown: a line for each label set and data set.

    Args:
        qualities: Label set -> data set (train, dev) -> what quality.measure returns.
        infos: Label set -> facts of its codebook.
    """
    found = [m for of_set in qualities.values() for m in of_set.values()]
    names = [name for name in OF_UTTERANCE if any(name in m for m in found)]
    header = ["labels", "frames of", "dead", "inertia", "perplexity"]
    header += [f"{name} {what}" for name in names for what in ("NMI", "purity", "chance")]
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    for label_set, of_set in qualities.items():
        for part, m in of_set.items():
            row = [label_set, part]
            row += [str(infos[label_set]["dead"]), f"{infos[label_set]['inertia']:.4g}"]
            row.append(f"{m['perplexity']:.1f}")
            for name in names:
                told = says_something(m, name)
                row += [f"{m[name][k]:.3f}" if told else "-" for k in ("nmi", "purity", "chance")]
            lines.append("| " + " | ".join(row) + " |")
    text = (
        "Frame pseudo-labels against what is known of the utterances. NMI: normalised mutual "
        "information; purity: share of frames in the majority of their cluster; chance: purity "
        "without clusters. Purity rises with the number of clusters, NMI need not. Dead clusters "
        "and inertia per frame are of the frames that were clustered. A dash: all have the same."
    )
    return f"## Pseudo-labels\n\n{text}\n\n" + "\n".join(lines) + "\n"


def says_something(measured: dict, name: str) -> bool:
    """Whether utterances differ in it; the dev set of one fold may well be a single speaker."""
    return name in measured and measured[name]["chance"] < 1.0


def quality_figure(sets: Sequence[LabelSet], qualities: Mapping[str, dict[str, dict]]) -> bytes:
    """NMI with emotion, gender and speaker by layer, a line for each number of clusters.

    Of the dev set, or of the training set where there is no other or dev utterances do not differ.
    """
    one = qualities[sets[0].name]
    parts = {}
    for name in OF_UTTERANCE:
        told = [part for part in ("dev", "train") if says_something(one.get(part, {}), name)]
        if told:
            parts[name] = told[0]
    names = list(parts)
    fig = figure(3.6 * max(1, len(names)) + 1.0, 3.2)
    panels = np.atleast_1d(fig.subplots(1, max(1, len(names))))
    layers = sorted({s.layer for s in sets})
    for axes, name in zip(panels, names, strict=False):
        plain(axes, f"With {name}, {parts[name]}", "layer", "normalised mutual information")
        for number, clusters in enumerate(sorted({s.clusters for s in sets})):
            own = sorted((s for s in sets if s.clusters == clusters), key=lambda s: s.layer)
            values = [qualities[s.name][parts[name]][name]["nmi"] for s in own]
            at = [layers.index(s.layer) for s in own]
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(at, values, "o-", color=colour, label=f"K = {clusters}", markersize=5)
        axes.set_xticks(range(len(layers)), [str(layer) for layer in layers])
        axes.set_xlim(-0.4, len(layers) - 0.6)
        axes.set_ylim(bottom=0.0)
    handles, titles = panels[0].get_legend_handles_labels()
    fig.legend(handles, titles, loc="outside right center", fontsize=8, frameon=False)
    return to_png(fig)


def examples(data: DataDir) -> list[Utterance]:
    """The utterance of median duration of each of the first classes."""
    chosen = []
    for label in data.labels[:SHOWN]:
        own = sorted((u for u in data.utts.values() if u.emo == label), key=lambda u: u.dur_sec)
        chosen += own[len(own) // 2 :][:1]
    return chosen


def timeline_figure(
    sets: Sequence[LabelSet],
    utts: Sequence[Utterance],
    labels: Mapping[str, Mapping[str, np.ndarray]],
    frame_sec: float,
) -> bytes:
    """Label sequences: a panel for each utterance, a row for each label set, a colour per cluster.

    Args:
        sets: Rows.
        utts: Panels.
        labels: Label set -> utterance -> (T,).
        frame_sec: Seconds per frame.
    """
    fig = figure(9.0, 0.6 + len(utts) * (0.75 + 0.2 * len(sets)))
    for axes, utt in zip(np.atleast_1d(fig.subplots(len(utts), 1)), utts, strict=True):
        plain(axes, f"{utt.utt} ({utt.emo})", "seconds")
        rows = np.stack([_colours(labels[s.name][utt.utt], s.clusters) for s in sets])
        seconds = rows.shape[1] * frame_sec
        axes.imshow(rows, aspect="auto", interpolation="nearest", extent=(0, seconds, len(sets), 0))
        axes.set_yticks(np.arange(len(sets)) + 0.5, [s.name for s in sets])
        axes.tick_params(axis="y", colors=GREY, labelsize=7, length=0)
    return to_png(fig)


def _colours(labels: np.ndarray, clusters: int) -> np.ndarray:
    """(T,) -> (T, 3): neighbouring ids get hues far apart (golden-ratio steps)."""
    hues = (np.arange(clusters) * 0.61803) % 1.0
    shades = 0.55 + 0.4 * ((np.arange(clusters) * 0.38197) % 1.0)
    table = np.array([colorsys.hsv_to_rgb(h, 0.6, v) for h, v in zip(hues, shades, strict=True)])
    return table[labels]
