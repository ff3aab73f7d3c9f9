# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Learn a codebook from the frames of arks, of all or of each gender apart."""

import logging
from collections.abc import Iterable, Mapping

import numpy as np
import torch

from sertl.cluster.codebook import Codebook
from sertl.cluster.frames import Frames
from sertl.cluster.kmeans import learn
from sertl.cluster.labelling import usage
from sertl.cluster.nearest import Nearest
from sertl.data.fields import FIELDS
from sertl.errors import SertlError
from sertl.fingerprint import ids_hash
from sertl.seed import derive_seed

logger = logging.getLogger(__name__)


def learn_codebook(
    frames: Frames,
    clusters: int,
    seed: int,
    genders: Mapping[str, str | None] | None = None,
    device: torch.device | str = "cpu",
    **options: int,
) -> Codebook:
    """Learn a codebook and look how it serves the frames it was learned from.

    Args:
        frames: Training frames.
        clusters: K.
        seed: Decides everything random.
        genders: Of every utterance, to learn K / 2 centroids of each gender's frames; None learns
            from all frames together.
        device: Where frames are assigned.
        options: Further arguments of learn.

    Raises:
        SertlError: Too few frames; with genders an odd K, or an utterance of unknown gender.
    """
    groups = [frames]
    if genders is not None:
        ids = split_by_gender(frames.utts, clusters, genders)
        groups = [Frames(frames.scp, own, frames.num_frames) for own in ids]
    centroids, histories, counts, inertia = [], [], [], 0.0
    for number, group in enumerate(groups):
        seed_of_group = derive_seed(seed, number)
        own, history = learn(
            group, clusters // len(groups), seed_of_group, device=device, **options
        )
        own_counts, own_inertia = usage(Nearest(own, device), group)
        centroids.append(own)
        histories.append([round(value, 4) for value in history])
        counts.append(own_counts)
        inertia += own_inertia * group.total / frames.total
    counts = np.concatenate(counts)
    info = {
        "clusters": clusters,
        "size": frames.size,
        "per_gender": genders is not None,
        "ids": {"n": len(frames.utts), "hash": ids_hash(frames.utts)},
        "frames": frames.total,
        "seed": seed,
        "inertia": float(inertia),
        "dead": int((counts == 0).sum()),
        "smallest": int(counts.min()),
        "largest": int(counts.max()),
        "inertia_by_block": histories,
    }
    logger.info(
        "%s, K = %d: %d frames, inertia per frame %.4g, dead clusters %d, sizes %d to %d",
        *(frames.scp, clusters, frames.total),
        *(info["inertia"], info["dead"], info["smallest"], info["largest"]),
    )
    return Codebook(np.concatenate(centroids).astype(np.float32), info)


def split_by_gender(
    utts: Iterable[str], clusters: int, genders: Mapping[str, str | None]
) -> list[list[str]]:
    """The female and the male utterances, in this order.

    Raises:
        SertlError: An odd number of clusters, an unknown gender, or no utterance of one.
    """
    utts = list(utts)
    if clusters % 2:
        raise SertlError(f"clusters per gender need an even number, got {clusters}")
    unknown = [utt for utt in utts if genders[utt] is None]
    if unknown:
        raise SertlError(
            f"clusters per gender: {len(unknown)} training utterances have no gender, e.g. "
            f"{unknown[0]}; give spk2gender, or set pseudo_labels.per_gender=false"
        )
    groups = [[utt for utt in utts if genders[utt] == g] for g in FIELDS["gender"].values]
    missing = [g for g, group in zip(FIELDS["gender"].values, groups, strict=True) if not group]
    if missing:
        raise SertlError(f"clusters per gender: no training utterance is of gender {missing}")
    return groups
