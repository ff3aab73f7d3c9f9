# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""k-means on a fair sample of frames that come in batches."""

import torch
from sklearn.cluster import MiniBatchKMeans

from sertl.errors import SertlError

MAX_FRAMES = 200_000


class FrameSample:
    """At most MAX_FRAMES of all frames added, each as likely as any other.

    Args:
        seed: Decides the sample and the clusters.
    """

    def __init__(self, seed: int):
        self.seed = seed % 2**32  # what scikit-learn takes
        self._generator = torch.Generator().manual_seed(seed)
        self._frames, self._keys = None, torch.empty(0)

    def add(self, frames: torch.Tensor) -> None:
        """Add frames (N, D)."""
        frames = frames.cpu()
        self._frames = frames if self._frames is None else torch.cat([self._frames, frames])
        new = torch.rand(len(frames), generator=self._generator)
        # Every frame draws a key; those of the smallest keys stay.
        self._keys, kept = torch.cat([self._keys, new]).topk(
            min(len(self._frames), MAX_FRAMES), largest=False
        )
        self._frames = self._frames[kept]

    def centroids(self, number: int) -> torch.Tensor:
        """(K, D) float32: scikit-learn's MiniBatchKMeans, the best of three k-means++ starts.

        Raises:
            SertlError: If there are fewer frames than centroids.
        """
        if len(self._keys) < number:
            raise SertlError(f"{len(self._keys)} frames cannot make {number} centroids")
        model = MiniBatchKMeans(number, n_init=3, batch_size=10_000, random_state=self.seed)
        return torch.from_numpy(model.fit(self._frames.numpy()).cluster_centers_)
