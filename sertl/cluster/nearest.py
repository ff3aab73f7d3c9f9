# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Frames to their nearest centroids, by blocks of matrix products on a CPU or GPU."""

import numpy as np
import torch

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
