# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a model that clusters frames by itself has found, as numbers for the report.

How its clusters go with emotion, speaker and gender, where its utterances lie, and which clusters a
few of them run through. Labels are read here only, after training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA

from sertl.atomic import write_json
from sertl.cluster.quality import OF_UTTERANCE, measure
from sertl.data.audio import SAMPLE_RATE
from sertl.data.batch import prefetch
from sertl.data.batching import ordered_batches
from sertl.data.datadir import DataDir, Utterance
from sertl.data.dataset import UttDataset
from sertl.data.folds import FoldDir
from sertl.data.frame_labels import LabelSet
from sertl.models.base import SERModel
from sertl.runs import DIAGNOSTICS
from sertl.stages.phase import OpenPhase

MAX_UTTS = 300  # evenly spaced over a set, so that every speaker is there
SHOWN = 4  # utterances in timelines


def write_diagnostics(out: Path, model: SERModel, opened: OpenPhase, device: torch.device) -> dict:
    """Write diagnostics.json: a table, the projection of utterances, and timelines of a few.

    Returns:
        What the table says, for run.json.
    """
    data = shown(FoldDir(Path(opened.conf["data"]), opened.run.fold))
    dataset = opened.dataset(data)
    labels, means = find(model, dataset, opened.phase["data_conf"], device)
    data = replace(data, utts={utt: data.utts[utt] for utt in labels})
    quality = measure(data, labels)
    sets = [LabelSet(max(model.spec.layers), model.num_clusters)]
    frame_sec = opened.conf["upstream"]["stride"] / SAMPLE_RATE
    entries = [table(quality, data, model.num_clusters), projection(data, means)]
    chosen = examples(data)
    if chosen:
        entries.append(timelines(sets, chosen, {sets[0].name: labels}, frame_sec))
    write_json(out / DIAGNOSTICS, entries)
    return quality


def shown(fold: FoldDir) -> DataDir:
    """Labelled utterances of the fold's training and dev sets: evenly spaced, at most MAX_UTTS."""
    parts = [fold.part(name) for name in ("train", "dev") if fold.has(name)]
    utts = sorted((utt, u) for part in parts for utt, u in part.utts.items())
    return replace(parts[0], utts=dict(utts[:: -(-len(utts) // MAX_UTTS)]))


@torch.inference_mode()
def find(
    model: SERModel, dataset: UttDataset, data_conf: dict, device: torch.device
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Clusters (T,) of each utterance, and the mean frame of each, (U, D'), in the same order."""
    model.eval()
    batches = ordered_batches(
        range(len(dataset)), dataset.durs_sec, data_conf["batch_size"], data_conf["batch_sec"]
    )
    labels, means = {}, {}
    for batch in prefetch(dataset.batch(indices) for indices in batches):
        found, frames = model.clusters(batch.to(device))
        for utt, own, rows in zip(batch.utt, found, frames, strict=True):
            known = own >= 0
            labels[utt] = own[known].cpu().numpy()
            means[utt] = rows[known].mean(dim=0).float().cpu().numpy()
    kept = [utt for utt in sorted(labels) if len(labels[utt])]  # one frame has no cluster
    return {utt: labels[utt] for utt in kept}, np.stack([means[utt] for utt in kept])


def table(quality: dict, data: DataDir, number: int) -> dict:
    """Normalised mutual information and purity with what is known of the utterances."""
    rows = [
        [name, *(quality[name][key] for key in ("nmi", "purity", "chance"))]
        for name in OF_UTTERANCE
        if name in quality
    ]
    return {
        "kind": "table",
        "title": "Local attributes",
        "text": f"The frames of {len(data.utts)} utterances of training and development speakers "
        f"fall into {number} clusters, of which {quality['perplexity']:.1f} are in use, in effect "
        "(perplexity). NMI: normalised mutual information.",
        "header": ["clusters against", "NMI", "purity", "purity of one cluster"],
        "rows": rows,
    }


def projection(data: DataDir, means: np.ndarray) -> dict:
    """Utterances by the first two principal components of their mean frames.

    Args:
        data: U utterances, in the order of means.
        means: (U, D').
    """
    points = PCA(2, random_state=0).fit_transform(means)  # (U, 2)
    groups = {
        name: [str(u.value(field)) for u in data.utts.values()]
        for name, field in OF_UTTERANCE.items()
        if any(u.value(field) is not None for u in data.utts.values())
    }
    return {
        "kind": "scatter",
        "title": "Utterances by",
        "axes": ["first component", "second component"],
        "points": points.round(4).tolist(),
        "groups": groups,
    }


def examples(data: DataDir) -> list[Utterance]:
    """The utterance of median duration of each of the first classes."""
    chosen = []
    for label in data.labels[:SHOWN]:
        own = sorted((u for u in data.utts.values() if u.emo == label), key=lambda u: u.dur_sec)
        chosen += own[len(own) // 2 :][:1]
    return chosen


def timelines(
    sets: Sequence[LabelSet],
    utts: Sequence[Utterance],
    labels: Mapping[str, Mapping[str, np.ndarray]],
    frame_sec: float,
) -> dict:
    """Clusters of some utterances over time.

    Args:
        sets: Rows.
        utts: Panels.
        labels: Label set -> utterance -> (T,).
        frame_sec: Seconds per frame.
    """
    return {
        "kind": "timelines",
        "title": "Clusters over time",
        "frame_sec": frame_sec,
        "rows": [{"name": s.name, "clusters": s.clusters} for s in sets],
        "panels": [
            {
                "title": f"{u.utt} ({u.emo})",
                "labels": [labels[s.name][u.utt].tolist() for s in sets],
            }
            for u in utts
        ],
    }
