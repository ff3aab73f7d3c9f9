# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Mini-batch k-means on frames that need not fit into memory."""

import logging
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans

from sertl.cluster.assign import Nearest, usage
from sertl.cluster.codebook import Codebook
from sertl.cluster.frames import Frames
from sertl.cluster.plus_plus import plus_plus
from sertl.data.dataset import GENDERS
from sertl.errors import SertlError, check_count
from sertl.fingerprint import ids_hash
from sertl.seed import derive_seed

logger = logging.getLogger(__name__)

BLOCK_FRAMES = 100_000  # shuffled together: 300 MB of 768 dimensions
START_FRAMES = 3  # of the sample per cluster, at least; as in scikit-learn
BETTER = 1e-3  # an improvement of the inertia by less than this share counts as none
PATIENCE = 3  # looks at the inertia without an improvement, after which learning ends


def learn(
    frames: Frames,
    clusters: int,
    seed: int,
    batch_frames: int = 10_000,
    restarts: int = 20,
    passes: int = 100,
    device: torch.device | str = "cpu",
) -> tuple[np.ndarray, list[float]]:
    """Learn centroids with scikit-learn's MiniBatchKMeans, fed block by block.

    A sample of the frames chooses the start (k-means++, the best of `restarts`) and says, after
    each block, whether learning still helps. No centroid is moved to a random frame later on
    (reassignment_ratio 0, as in fairseq's HuBERT): what was not yet seen cannot be judged by it.

    Args:
        frames: Training frames.
        clusters: K.
        seed: Decides everything random.
        batch_frames: Frames per mini-batch.
        restarts: k-means++ starts.
        passes: Over all frames, at most.
        device: For the starts and the sample's inertia; the mini-batches run on the CPU.

    Returns:
        (K, D) float32 centroids; inertia per frame of the sample, first of the start, then after
        each block.

    Raises:
        SertlError: A number below 1, or fewer frames than clusters.
    """
    counts = {"clusters": clusters, "batch_frames": batch_frames}
    for name, value in {**counts, "restarts": restarts, "passes": passes}.items():
        check_count(name, value)
    if frames.total < clusters:
        raise SertlError(f"{frames.scp}: {frames.total} frames cannot make {clusters} clusters")
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    batch_frames = max(batch_frames, clusters)
    sample = frames.sample(max(START_FRAMES * clusters, batch_frames), rng)
    on_device = torch.from_numpy(sample).to(device)

    def inertia(centroids: np.ndarray) -> float:
        return float(Nearest(centroids, device)(sample)[1].mean(dtype=np.float64))

    starts = (plus_plus(on_device, clusters, generator).cpu().numpy() for _ in range(restarts))
    first, centroids = min(((inertia(start), start) for start in starts), key=lambda s: s[0])
    model = MiniBatchKMeans(
        clusters,
        init=centroids,
        n_init=1,
        batch_size=batch_frames,
        compute_labels=False,
        reassignment_ratio=0.0,
        random_state=int(rng.integers(2**31)),
    )
    inertias, best, idle = [first], first, 0
    for number in range(passes):
        for block in frames.blocks(max(BLOCK_FRAMES, batch_frames), rng):
            # Cut evenly: the first batch must hold at least K frames, and none be a mere rest.
            for batch in np.array_split(block, max(1, len(block) // batch_frames)):
                model.partial_fit(batch)
            inertias.append(inertia(model.cluster_centers_))
            idle = idle + 1 if inertias[-1] > best * (1 - BETTER) else 0
            best = min(best, inertias[-1])
            if idle >= PATIENCE and number > 0:  # every frame was seen at least once
                return model.cluster_centers_, inertias
    return model.cluster_centers_, inertias


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
    centroids, histories = zip(
        *(
            learn(
                group,
                clusters // len(groups),
                derive_seed(seed, number),
                device=device,
                **options,
            )
            for number, group in enumerate(groups)
        ),
        strict=True,
    )
    counts, inertia = zip(
        *(usage(Nearest(own, device), group) for own, group in zip(centroids, groups, strict=True)),
        strict=True,
    )
    counts = np.concatenate(counts)
    shares = [group.total / frames.total for group in groups]
    info = {
        "clusters": clusters,
        "size": frames.size,
        "per_gender": genders is not None,
        "ids": {"n": len(frames.utts), "hash": ids_hash(frames.utts)},
        "frames": frames.total,
        "seed": seed,
        "inertia": float(np.dot(inertia, shares)),
        "dead": int((counts == 0).sum()),
        "smallest": int(counts.min()),
        "largest": int(counts.max()),
        "inertia_by_block": [[round(value, 4) for value in history] for history in histories],
    }
    logger.info(
        "%s, K = %d: %d frames, inertia per frame %.4g, dead clusters %d, sizes %d to %d",
        frames.scp,
        clusters,
        frames.total,
        info["inertia"],
        info["dead"],
        info["smallest"],
        info["largest"],
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
    groups = [[utt for utt in utts if genders[utt] == g] for g in GENDERS]
    missing = [g for g, group in zip(GENDERS, groups, strict=True) if not group]
    if missing:
        raise SertlError(f"clusters per gender: no training utterance is of gender {missing}")
    return groups
