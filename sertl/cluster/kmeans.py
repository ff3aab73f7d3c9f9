# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Mini-batch k-means on frames that need not fit into memory; it reads no file itself."""

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch

from sertl.cluster.nearest import Nearest
from sertl.errors import SertlError, check_count

BLOCK_FRAMES = 100_000  # shuffled together: 300 MB of 768 dimensions
START_FRAMES = 3  # of the sample per cluster, at least; as in scikit-learn
BETTER = 1e-3  # an improvement of the inertia by less than this share counts as none
PATIENCE = 3  # looks at the inertia without an improvement, after which learning ends


class FrameSource(Protocol):
    """Where frames come from: cluster.frames.Frames or cluster.frames.FrameSample."""

    scp: object  # stands in messages
    total: int

    def sample(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """(min(number, total), D): frames drawn without replacement."""

    def blocks(self, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Every frame once, shuffled, in blocks (size, D)."""


def learn(
    frames: FrameSource,
    clusters: int,
    seed: int,
    batch_frames: int = 10_000,
    restarts: int = 20,
    passes: int = 100,
    device: torch.device | str = "cpu",
) -> tuple[np.ndarray, list[float]]:
    """Learn centroids by mini-batches, fed block by block.

    A sample of the frames makes starts (k-means++, `restarts` times); another one, which no start
    has seen, says which is best, and after each block whether learning still helps. No centroid is
    moved to a random frame later on, as in fairseq's HuBERT.

    Args:
        frames: Training frames.
        clusters: K.
        seed: Decides everything random.
        batch_frames: Frames per mini-batch.
        restarts: k-means++ starts.
        passes: Over all frames, at most.
        device: Where it is computed; frames are read and shuffled on the CPU.

    Returns:
        (K, D) float32 centroids; inertia per frame of the second sample, at the start and after
        each block.

    Raises:
        SertlError: A number below 1, or fewer frames than clusters.
    """
    names, numbers = ("clusters", "batch_frames", "restarts", "passes"), (clusters, batch_frames)
    for name, number in zip(names, (*numbers, restarts, passes), strict=True):
        check_count(name, number)
    if frames.total < clusters:
        raise SertlError(f"{frames.scp}: {frames.total} frames cannot make {clusters} clusters")
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    batch_frames = max(batch_frames, clusters)
    drawn, judges = samples(frames, clusters, max(START_FRAMES * clusters, batch_frames), rng)
    start = best_start(drawn, judges, clusters, restarts, generator, device)
    model = MiniBatches(start, device)
    inertias, idle = [inertia(start, judges, device)], 0
    for number in range(passes):
        for block in frames.blocks(max(BLOCK_FRAMES, batch_frames), rng):
            # Cut evenly, so that no batch is a mere rest.
            for batch in np.array_split(block, max(1, len(block) // batch_frames)):
                model.add(batch)
            inertias.append(inertia(model.centroids, judges, device))
            idle = idle + 1 if inertias[-1] > min(inertias[:-1]) * (1 - BETTER) else 0
            if idle >= PATIENCE and number > 0:  # every frame was seen at least once
                return model.centroids, inertias
    return model.centroids, inertias


class MiniBatches:
    """Centroids that are the means of the frames that came to them, so far.

    Sculley, "Web-scale k-means clustering", WWW 2010, a batch at a time as in scikit-learn's
    MiniBatchKMeans (with reassignment_ratio 0).

    Args:
        start: (K, D) float32.
        device: Where frames are assigned and added up.
    """

    def __init__(self, start: np.ndarray, device: torch.device | str):
        self.device = torch.device(device)
        self.means = torch.from_numpy(start).to(self.device, torch.float64)
        self.counts = torch.zeros(len(start), 1, dtype=torch.float64, device=self.device)

    @property
    def centroids(self) -> np.ndarray:
        """(K, D) float32."""
        return self.means.float().cpu().numpy()

    def add(self, batch: np.ndarray) -> None:
        """Assign frames (N, D) float32, then move the centroids that got any."""
        frames = torch.from_numpy(batch).to(self.device)
        labels = Nearest(self.centroids, self.device).of(frames)
        sums = torch.zeros(self.means.shape, device=self.device).index_add_(0, labels, frames)
        new = torch.bincount(labels, minlength=len(self.means))[:, None].double()
        self.counts += new
        self.means += (sums.double() - new * self.means) / self.counts.clamp_min(1.0)


def samples(
    frames: FrameSource, clusters: int, number: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two samples without a common frame, (n, D) each, n at most number.

    Of fewer frames than two starts need nothing can be spared: then both are all of them.
    """
    both = frames.sample(2 * number, rng)
    if len(both) < 2 * START_FRAMES * clusters:
        return both, both
    return both[: len(both) // 2], both[len(both) // 2 :]


def inertia(centroids: np.ndarray, sample: np.ndarray, device: torch.device | str) -> float:
    """Mean squared distance of a sample's frames to their nearest centroids."""
    return float(Nearest(centroids, device)(sample)[1].mean(dtype=np.float64))


def best_start(
    sample: np.ndarray,
    judges: np.ndarray,
    clusters: int,
    restarts: int,
    generator: torch.Generator,
    device: torch.device | str,
) -> np.ndarray:
    """(K, D): of several k-means++ starts on a sample the one of least inertia of the judges."""
    on_device = torch.from_numpy(sample).to(device)
    starts = (plus_plus(on_device, clusters, generator).cpu().numpy() for _ in range(restarts))
    return min(starts, key=lambda start: inertia(start, judges, device))


def plus_plus(sample: torch.Tensor, clusters: int, generator: torch.Generator) -> torch.Tensor:
    """Choose frames far from each other as first centroids, by matrix products in float32.

    scikit-learn's own computes in float64 whatever it is given, which costs several times more than
    the mini-batches that follow it.

    Each next one is drawn with a chance proportional to the squared distance to the nearest chosen
    one; of 2 + ln K draws the one that lowers the sum of distances most is kept.

    Args:
        sample: (N, D) float32, N >= K.
        clusters: K.
        generator: On the CPU; decides the draws.

    Returns:
        (K, D), rows of sample.

    Source:
        Arthur and Vassilvitskii, "k-means++", SODA 2007, with the several draws of its section 7.
    """
    x = sample - sample.mean(dim=0)  # what all frames share would only cost digits
    norms = x.square().sum(dim=1)  # (N,)

    def distances(rows: torch.Tensor) -> torch.Tensor:
        products = torch.addmm(norms, x[rows], x.T, alpha=-2.0)  # (m, N)
        return (products + norms[rows, None]).clamp_min(0.0)

    draws = 2 + int(math.log(clusters))
    chosen = [torch.randint(len(x), (1,), generator=generator).to(x.device)]
    nearest = distances(chosen[0])[0]  # (N,)
    for _ in range(clusters - 1):
        upto = nearest.double().cumsum(dim=0)
        where = torch.rand(draws, generator=generator, dtype=torch.float64).to(x.device) * upto[-1]
        rows = torch.searchsorted(upto, where, right=True).clamp_max(len(x) - 1)  # (m,)
        after = torch.minimum(nearest, distances(rows))  # (m, N)
        best = after.sum(dim=1).argmin()
        chosen.append(rows[best][None])
        nearest = after[best]
    return sample[torch.cat(chosen)]
