# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Layers and numbers of clusters of frame pseudo-labels, against their quality and the final UA."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sertl.data.frame_labels import LabelSet
from sertl.errors import SertlError
from sertl.report.plots import COLOURS, GREY, figure, plain, to_png
from sertl.report.tables import NONE, Table, decimal, percent, spanned
from sertl.run_file import read_run_json, understanding
from sertl.runs import PSEUDO_LABELS, find_runs
from sertl.schema.run_records import LabelsFile
from sertl.score.pairing import Scored, difference, load_scored

OF = ("emotion", "gender", "speaker")


REMEDY = "run stage 5 with --redo"


@dataclass(frozen=True)
class LabelQuality:
    """One label set of an experiment, averaged over its folds and seeds.

    Attributes:
        run: The experiment, scored.
        layer: Of the teacher, or of the released encoder.
        clusters: As asked for.
        alone: Whether the experiment has no other label set; then its UA is that of this one.
        perplexity: Of the labels of the training frames.
        nmi: (train or dev, name in OF) -> normalised mutual information with it; without those
            that do not vary, as the speaker of a dev set of one.
        purity: Likewise -> (purity, that of a single cluster).
    """

    run: Scored
    layer: int
    clusters: int
    alone: bool
    perplexity: float
    nmi: dict[tuple[str, str], float]
    purity: dict[tuple[str, str], tuple[float, float]]
    source: str = "teacher"


def load_qualities(exp: str | Path, set_name: str = "test") -> list[LabelQuality]:
    """Read an experiment's label sets and its score.

    Args:
        exp: exp/<tag>, scored.
        set_name: The scored set.

    Raises:
        SertlError: It is not scored, has no pseudo-labels, or other label sets in another fold.
    """
    run = load_scored(exp, set_name)
    wanted = find_runs(exp, run.summary["folds"], run.summary["seeds"])
    files = [one.phase(PSEUDO_LABELS) / "run.json" for one in wanted]
    lacking = [file.parent for file in files if not file.is_file()]
    if lacking:
        raise SertlError(f"{lacking[0]} is missing; run stage 5, or leave {exp} out")
    infos = [read_run_json(file, LabelsFile, REMEDY) for file in files]
    sets = infos[0]["label_sets"]
    for file, info in zip(files, infos, strict=True):
        if info["label_sets"] != sets:
            raise SertlError(f"{file}: other label sets than in {files[0]}")
    with understanding(files[0], REMEDY):
        return [
            _averaged(run, s, len(sets) == 1, [info["quality"][s.name] for info in infos])
            for s in (LabelSet(**facts) for facts in sets)
        ]


def _averaged(run: Scored, label_set: LabelSet, alone: bool, found: list[dict]) -> LabelQuality:
    nmi, purity = {}, {}
    for part in ("train", "dev"):
        for name in OF:
            own = [q[part][name] for q in found if name in q.get(part, {})]
            own = [m for m in own if m["chance"] < 1.0]
            if own:
                nmi[part, name] = _mean(own, "nmi")
                purity[part, name] = (_mean(own, "purity"), _mean(own, "chance"))
    perplexity = float(np.mean([q["train"]["perplexity"] for q in found]))
    place = (label_set.layer, label_set.clusters)
    return LabelQuality(run, *place, alone, perplexity, nmi, purity, label_set.source)


def _mean(entries: list[dict], key: str) -> float:
    return float(np.mean([entry[key] for entry in entries]))


def quality_table(qualities: Sequence[LabelQuality], reference: Scored | None = None) -> Table:
    """A row for each label set, by layer and number of clusters.

    Args:
        qualities: Of all experiments.
        reference: An experiment without frame labels, which gets the first row.

    Raises:
        SertlError: If two experiments were not scored on the same utterances and folds.
    """
    first = qualities[0].run
    others = [q.run for q in qualities[1:]] + ([reference] if reference else [])
    for other in others:
        if found := difference(first, other):
            raise SertlError(f"{first.exp} and {other.exp} are not comparable: {found}")
    rows = sorted(qualities, key=lambda q: (q.layer, q.source, q.clusters, q.run.name))
    keys = _keys(rows)
    header = ["layer", "clusters", "experiment", "perplexity"]
    header += [f"NMI {name}, {part}" for part, name in keys]
    emotion = [key for key in keys if key[1] == "emotion"]
    header += [f"purity {name}, {part} (chance)" for part, name in emotion]
    header += ["UA", "UA 95 %"]
    words = []
    if reference:
        unlabelled = [NONE] * len(header)
        unlabelled[2], unlabelled[-2:] = reference.name, _ua(reference)
        words.append(unlabelled)
    for q in rows:
        layer = str(q.layer) if q.source == "teacher" else f"{q.layer}, {q.source}"
        row = [layer, str(q.clusters), q.run.name, decimal(q.perplexity, 1)]
        row += [decimal(q.nmi.get(key), 3) for key in keys]
        for key in emotion:
            value = q.purity.get(key)
            row.append(NONE if value is None else f"{value[0]:.3f} ({value[1]:.3f})")
        words.append(row + (_ua(q.run) if q.alone else [NONE] * 2))
    notes = [
        "Labels of frames against what is known of their utterances, mean over folds and seeds; "
        "chance: purity of one single cluster. UA in per cent, of the finished model, where this "
        "is its only label set."
    ]
    several = {q.run.name: q.run for q in rows if not q.alone}
    for name, run in sorted(several.items()):
        sets = sum(q.run.name == name for q in rows)
        mean, interval = _ua(run)
        notes.append(f"{name}, with all of its {sets} label sets: UA {mean} ({interval}).")
    return Table(first.scored_on, header, words, notes)


def _ua(run: Scored) -> list[str]:
    """In per cent, and its interval."""
    pooled = run.summary["metrics"]["ua"]["pooled"]
    return [percent(pooled["mean"]), spanned(pooled["interval_utt"])]


def _keys(qualities: Sequence[LabelQuality]) -> list[tuple[str, str]]:
    """What any label set has, emotion first."""
    found = {key for q in qualities for key in q.nmi}
    return sorted(found, key=lambda key: (OF.index(key[1]), key[0] != "train"))


def quality_figure(qualities: Sequence[LabelQuality], reference: Scored | None = None) -> bytes:
    """A panel for each kind of quality and one for the UA, over layers; a line for each K.

    The reference, an experiment without frame labels, is a level among the UA.
    """
    keys = _keys(qualities)
    layers = sorted({q.layer for q in qualities})
    clusters = sorted({q.clusters for q in qualities})
    columns = min(3, len(keys) + 1)
    lines = -(-(len(keys) + 1) // columns)
    fig = figure(3.3 * columns + 1.0, 2.9 * lines)
    panels = fig.subplots(lines, columns, squeeze=False).flatten()
    *nmi, ua = panels[: len(keys) + 1]
    for panel, (part, name) in zip(nmi, keys, strict=True):
        plain(panel, f"NMI with {name}, {part}", "layer")
    plain(ua, "UA of the model, per cent, 95 %", "layer")
    for i, k in enumerate(clusters):
        own = sorted((q for q in qualities if q.clusters == k), key=lambda q: q.layer)
        style = {"color": COLOURS[i % len(COLOURS)], "label": f"K = {k}", "markersize": 5}
        for panel, key in zip(nmi, keys, strict=True):
            there = [q for q in own if key in q.nmi]
            at = [layers.index(q.layer) for q in there]
            panel.plot(at, [q.nmi[key] for q in there], "o-", **style)
        alone = [q for q in own if q.alone]
        pooled = [q.run.summary["metrics"]["ua"]["pooled"] for q in alone]
        mean = np.array([100 * p["mean"] for p in pooled])
        ends = 100 * np.array([p["interval_utt"] for p in pooled]).reshape(-1, 2)
        aside = 0.08 * (i - (len(clusters) - 1) / 2)  # so that intervals do not cover each other
        at = [layers.index(q.layer) + aside for q in alone]
        reach = np.stack([mean - ends[:, 0], ends[:, 1] - mean]).clip(min=0.0)
        ua.errorbar(at, mean, yerr=reach, fmt="o-", elinewidth=0.9, **style)
    for panel in (*nmi, ua):
        panel.set_xticks(range(len(layers)), [str(layer) for layer in layers])
        panel.set_xlim(-0.4, len(layers) - 0.6)
    for panel in nmi:
        panel.set_ylim(bottom=0.0)
    for panel in panels[len(keys) + 1 :]:
        panel.set_axis_off()
    handles, titles = panels[0].get_legend_handles_labels()
    if reference:
        level = 100 * reference.summary["metrics"]["ua"]["pooled"]["mean"]
        handles.append(ua.axhline(level, color=GREY, linestyle="--", linewidth=1.2, zorder=0))
        titles.append(reference.name)
    fig.legend(handles, titles, loc="outside right center", fontsize=8, frameon=False)
    return to_png(fig)
