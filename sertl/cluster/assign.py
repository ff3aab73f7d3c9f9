# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Frames to their nearest centroids, by blocks of matrix products on a CPU or GPU."""

from collections.abc import Iterator

import numpy as np
import torch

from sertl.cluster.frames import Frames

BLOCK_FRAMES = 16384  # read and moved to the device together
# Distances at a time: what a CPU's cache holds; enough to fill a GPU.
BLOCK_DISTANCES = {"cpu": 2**20, "cuda": 2**26}


class Nearest:
    """Finds each frame's nearest centroid in Euclidean distance.

    Args:
        centroids: (K, D) float32.
        device: Where the products run.
    """

    def __init__(self, centroids: np.ndarray, device: torch.device | str = "cpu"):
        self.device = torch.device(device)
        self.centroids = torch.from_numpy(np.ascontiguousarray(centroids)).to(self.device)
        self.norms = self.centroids.square().sum(dim=1)  # (K,)
        self.rows = max(1, BLOCK_DISTANCES[self.device.type] // len(centroids))

    @torch.no_grad()
    def __call__(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Label frames.

        Args:
            frames: (N, D) float32.

        Returns:
            (N,) int32 index of the nearest centroid and (N,) float32 squared distance to it.
        """
        labels, distances = [], []
        whole = torch.from_numpy(np.ascontiguousarray(frames)).to(self.device)
        for block in whole.split(self.rows):
            # |x - c|^2 = |x|^2 + (|c|^2 - 2 x c); the minimum needs the bracket only
            best, index = torch.addmm(self.norms, block, self.centroids.T, alpha=-2.0).min(dim=1)
            labels.append(index.int())
            distances.append((best + block.square().sum(dim=1)).clamp_min(0.0))
        return torch.cat(labels).cpu().numpy(), torch.cat(distances).cpu().numpy()


def label_utterances(
    nearest: Nearest, frames: Frames
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Label every utterance; several at a time, so that short ones fill a block.

    Yields:
        Utterance, (T,) int32 labels, (T,) float32 squared distances.
    """
    held: list[tuple[str, np.ndarray]] = []
    for number, utt in enumerate(frames.utts, start=1):
        held.append((utt, frames.read(utt)))
        if number < len(frames.utts) and sum(len(m) for _, m in held) < BLOCK_FRAMES:
            continue
        labels, distances = nearest(np.concatenate([m for _, m in held]))
        ends = np.cumsum([len(m) for _, m in held])[:-1]
        parts = zip(held, np.split(labels, ends), np.split(distances, ends), strict=True)
        yield from ((utt, own, far) for (utt, _), own, far in parts)
        held = []


def usage(nearest: Nearest, frames: Frames) -> tuple[np.ndarray, float]:
    """How frames spread over the centroids.

    Returns:
        (K,) int64 frames of each centroid, and the mean squared distance of a frame to its own.
    """
    counts, total = np.zeros(len(nearest.norms), np.int64), 0.0
    for _, labels, distances in label_utterances(nearest, frames):
        counts += np.bincount(labels, minlength=len(counts))
        total += float(distances.sum(dtype=np.float64))
    return counts, total / frames.total
