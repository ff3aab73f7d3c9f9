# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Frame pseudo-labels of one fold: a codebook and labels for each layer and number of clusters.

    pseudo_labels/layer<l>_k<K>/codebook.json, centroids.npy   learned from the training ids only
    pseudo_labels/layer<l>_k<K>/labels.{ark,scp}               int32, of train and dev
    pseudo_labels/run.json, diagnostics.json                   numbers for the report

Pan et al., "GMP-TL", SLT 2024, arXiv 2405.02151.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from sertl import fingerprint
from sertl.cluster.codebook import Codebook, load_codebook, save_codebook
from sertl.cluster.frames import Frames
from sertl.cluster.labelling import dump_labels
from sertl.cluster.learning import learn_codebook, split_by_gender
from sertl.data.datadir import Utterance, read_table
from sertl.data.frame_labels import LabelSet
from sertl.errors import SertlError
from sertl.seed import derive_seed

logger = logging.getLogger(__name__)


def choose_sets(
    layers: Iterable[int],
    clusters: Iterable[int],
    frames: int,
    min_frames: int,
    sources: Iterable[str] = ("teacher",),
) -> list[LabelSet]:
    """Every layer with every K that has enough frames; the others are named in the log.

    Args:
        sources: Whose layers.
        layers: Hidden states.
        clusters: Numbers of clusters K.
        frames: Training frames.
        min_frames: Training frames per cluster that a K needs.

    Raises:
        SertlError: If no K is left.
    """
    kept = []
    for number in clusters:
        if frames >= min_frames * number:
            kept.append(number)
        else:
            logger.warning(
                "K = %d is dropped: %d training frames, %d needed (%d per cluster)",
                number,
                frames,
                min_frames * number,
                min_frames,
            )
    if not kept:
        raise SertlError(
            f"no number of clusters in {list(clusters)} has {min_frames} frames per cluster: there "
            f"are {frames} training frames; set pseudo_labels.clusters to smaller ones, or lower "
            "pseudo_labels.min_frames"
        )
    return [LabelSet(n, number, whose) for whose in sources for n in layers for number in kept]


def check_settings(conf: dict, learned_on: dict[str, Utterance]) -> None:
    """Refuse what would stop the clustering later on.

    Args:
        conf: A complete `pseudo_labels` (schema.method_keys.PseudoLabels).
        learned_on: Utterances to cluster.

    Raises:
        SertlError: Naming the setting.
    """
    if len({*conf["sources"]}) < len(conf["sources"]):
        raise SertlError(f"pseudo_labels.sources: {conf['sources']!r} names one twice")
    if conf["per_gender"]:
        for number in conf["clusters"]:
            split_by_gender(learned_on, number, {u.utt: u.gender for u in learned_on.values()})


def make_labels(
    conf: dict,
    sets: Iterable[LabelSet],
    feats: Mapping[str, Path],
    learned_on: dict[str, Utterance],
    labelled: dict[str, Utterance],
    out: Path,
    seed: int,
    device: torch.device | str = "cpu",
) -> dict[LabelSet, Codebook]:
    """Learn every codebook and label every utterance, except for what is there already.

    Args:
        conf: A complete `pseudo_labels` (schema.method_keys.PseudoLabels).
        sets: From choose_sets.
        feats: Of each source a dump with layer<l>/feats.scp and utt2num_frames.
        learned_on: Utterances to cluster.
        labelled: Utterances to label, those among them.
        out: Folder, which the caller has fingerprinted: what is in it is of the same inputs.
        seed: Of this fold and seed.
        device: Where frames are assigned.

    Returns:
        The codebooks, by layer and then K.
    """
    num_frames = {source: count_frames(folder) for source, folder in feats.items()}
    genders = {utt: u.gender for utt, u in labelled.items()} if conf["per_gender"] else None
    codebooks = {}
    for label_set in sets:
        folder, frames_of = out / label_set.name, num_frames[label_set.source]
        scp = feats[label_set.source] / f"layer{label_set.layer}" / "feats.scp"
        inputs = {**asdict(label_set), "clustered": fingerprint.ids_hash(learned_on)}
        if fingerprint.begin(folder, inputs) is not fingerprint.Progress.DONE:
            codebook = learn_codebook(
                Frames(scp, list(learned_on), frames_of),
                label_set.clusters,
                derive_seed(seed, label_set.name),
                genders,
                device,
                batch_frames=conf["batch_frames"],
                restarts=conf["restarts"],
                passes=conf["passes"],
            )
            codebook.info["layer"] = label_set.layer
            save_codebook(folder, codebook)
            frames = Frames(scp, list(labelled), frames_of)
            dump_labels(codebook, frames, folder / "labels", genders, device)
            fingerprint.finish(folder)
        codebooks[label_set] = load_codebook(folder)
        codebooks[label_set].check_ids(learned_on, str(folder))
    return codebooks


def count_frames(feats: Path) -> dict[str, int]:
    """Frames of each utterance of a dump."""
    return {utt: int(n) for utt, n in read_table(feats / "utt2num_frames").items()}


def codebook_facts(codebooks: dict[LabelSet, Codebook]) -> list[dict]:
    """Facts of each codebook, without its centroids."""
    kept = ("frames", "inertia", "dead", "smallest", "largest")
    return [
        {"labels": s.name, **{k: np.round(book.info[k], 4).item() for k in kept}}
        for s, book in codebooks.items()
    ]
