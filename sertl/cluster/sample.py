# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A fair sample of frames that come in batches, in memory, for kmeans.learn to read."""

from collections.abc import Iterator

import numpy as np
import torch

MAX_FRAMES = 200_000


class FrameSample:
    """At most MAX_FRAMES of all frames added, each as likely as any other.

    To kmeans.learn it is what cluster.frames.Frames is for frames that lie in arks.

    Args:
        seed: Decides the sample.

    Attributes:
        scp: Stands in messages where Frames has its file.
    """

    scp = "the frames of the training data"

    def __init__(self, seed: int):
        self._generator = torch.Generator().manual_seed(seed)
        self._frames, self._keys = None, torch.empty(0)

    @property
    def total(self) -> int:
        """Frames in the sample."""
        return len(self._keys)

    def add(self, frames: torch.Tensor) -> None:
        """Add frames (N, D) float32."""
        frames = frames.cpu()
        self._frames = frames if self._frames is None else torch.cat([self._frames, frames])
        new = torch.rand(len(frames), generator=self._generator)
        # Every frame draws a key; those of the smallest keys stay.
        self._keys, kept = torch.cat([self._keys, new]).topk(
            min(len(self._frames), MAX_FRAMES), largest=False
        )
        self._frames = self._frames[kept]

    def sample(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """(min(number, total), D): frames drawn without replacement."""
        chosen = rng.choice(self.total, min(number, self.total), replace=False)
        return self._frames.numpy()[chosen]

    def blocks(self, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Every frame once, shuffled, in blocks (size, D); the last may be smaller."""
        order = rng.permutation(self.total)
        for first in range(0, self.total, size):
            yield self._frames.numpy()[order[first : first + size]]
