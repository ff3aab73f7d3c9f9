# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a model that clusters frames by itself has found, as figures for the report.

How its attributes go with emotion, speaker and gender, where its utterances lie, and which
attributes a few of them run through. Labels are read here only, after training.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA

from sertl.atomic import write_bytes, write_text
from sertl.cluster.insight import examples, timeline_figure
from sertl.cluster.quality import OF_UTTERANCE, measure
from sertl.data.batching import ordered_batches
from sertl.data.datadir import DataDir
from sertl.data.dataset import UttDataset, prefetch
from sertl.data.frame_labels import LabelSet
from sertl.models.base import SERModel
from sertl.score.plots import COLOURS, figure, plain, to_png
from sertl.train.place import Place

MAX_UTTS = 300  # evenly spaced over a set, so that every speaker is there


def shown(place: Place) -> DataDir:
    """Labelled utterances of the fold's training and dev sets: evenly spaced, at most MAX_UTTS."""
    parts = [place.part(name) for name in ("train", "dev") if (place.fold_dir / name).is_dir()]
    utts = sorted((utt, u) for part in parts for utt, u in part.utts.items())
    return replace(parts[0], utts=dict(utts[:: -(-len(utts) // MAX_UTTS)]))


@torch.inference_mode()
def find(
    model: SERModel, dataset: UttDataset, data_conf: dict, device: torch.device
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Attributes (T,) of each utterance, and the mean frame of each, (U, D'), in the same order."""
    model.eval()
    batches = ordered_batches(
        range(len(dataset)), dataset.durs_sec, data_conf["batch_size"], data_conf["batch_sec"]
    )
    labels, means = {}, {}
    for batch in prefetch(dataset.batch(indices) for indices in batches):
        found, frames = model.attributes(batch.to(device))
        for utt, own, rows in zip(batch.utt, found, frames, strict=True):
            known = own >= 0
            labels[utt] = own[known].cpu().numpy()
            means[utt] = rows[known].mean(dim=0).float().cpu().numpy()
    kept = [utt for utt in sorted(labels) if len(labels[utt])]  # one frame has no attribute
    return {utt: labels[utt] for utt in kept}, np.stack([means[utt] for utt in kept])


def write_insight(
    out: Path,
    model: SERModel,
    data: DataDir,
    dataset: UttDataset,
    data_conf: dict,
    frame_sec: float,
    device: torch.device,
) -> dict:
    """Write insight_attributes.md, insight_projection.png and insight_timelines.png to out.

    Args:
        out: The phase's folder.
        model: With num_attributes.
        data: From shown.
        dataset: The same utterances.
        data_conf: batch_size and batch_sec of the phase.
        frame_sec: Seconds per frame.
        device: Where batches go.

    Returns:
        What the table says, for run.json.
    """
    labels, means = find(model, dataset, data_conf, device)
    data = replace(data, utts={utt: data.utts[utt] for utt in labels})
    quality = measure(data, labels)
    write_text(out / "insight_attributes.md", table(quality, data, model.num_attributes))
    figures = {"projection": projection(data, means)}
    chosen = examples(data)
    if chosen:
        sets = [LabelSet(max(model.spec.layers), model.num_attributes)]
        figures["timelines"] = timeline_figure(sets, chosen, {sets[0].name: labels}, frame_sec)
    for name, png in figures.items():
        write_bytes(out / f"insight_{name}.png", png)
    return quality


def table(quality: dict, data: DataDir, number: int) -> str:
    """Markdown: normalised mutual information and purity with what is known of the utterances."""
    lines = [
        "| attributes against | NMI | purity | purity of one cluster |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {name} | {quality[name]['nmi']:.3f} | {quality[name]['purity']:.3f} "
        f"| {quality[name]['chance']:.3f} |"
        for name in OF_UTTERANCE
        if name in quality
    ]
    return (
        f"## Local attributes\n\nThe frames of {len(data.utts)} utterances of training and "
        f"development speakers fall into {number} attributes, of which "
        f"{quality['perplexity']:.1f} are in use, in effect (perplexity). NMI: normalised mutual "
        "information.\n\n" + "\n".join(lines) + "\n"
    )


def projection(data: DataDir, means: np.ndarray) -> bytes:
    """Utterances by the first two principal components of their mean frames, coloured three ways.

    Args:
        data: U utterances, in the order of means.
        means: (U, D').
    """
    points = PCA(2, random_state=0).fit_transform(means)  # (U, 2)
    names = [
        name
        for name, field in OF_UTTERANCE.items()
        if any(getattr(u, field) is not None for u in data.utts.values())
    ]
    fig = figure(4.2 * len(names), 4.2)
    for axes, name in zip(np.atleast_1d(fig.subplots(1, len(names))), names, strict=True):
        plain(axes, f"Utterances by {name}", "first component", "second component")
        values = np.array([str(getattr(u, OF_UTTERANCE[name])) for u in data.utts.values()])
        for i, value in enumerate(np.unique(values)):
            of_value = values == value
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
