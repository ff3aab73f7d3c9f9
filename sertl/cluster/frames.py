# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What kmeans.learn reads: frames that lie in arks, or a fair sample of frames in memory."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch

from sertl.data.ark import read_array, read_scp
from sertl.data.places import Places
from sertl.errors import SertlError

MAX_FRAMES = 200_000  # in a FrameSample


class Frames:
    """The frames of some utterances of one feats.scp.

    Args:
        scp: feats.scp, whose matrices are (T, D).
        utts: Ids to read, in any order.
        num_frames: T of each, if known; else every matrix is read once to count.

    Attributes:
        total: Frames of all utterances.
        size: D.

    Raises:
        SertlError: No utterance, one that the scp lacks, something else than matrices, or
            matrices of different D.
    """

    def __init__(
        self,
        scp: str | os.PathLike,
        utts: Sequence[str],
        num_frames: Mapping[str, int] | None = None,
    ):
        self.scp = scp
        self.utts = sorted(utts)
        self._specs = Places(read_scp(scp))
        missing = [utt for utt in self.utts if utt not in self._specs]
        if missing or not self.utts:
            raise SertlError(
                f"{scp} lacks {len(missing)} of {len(self.utts)} utterances, e.g. {missing[:3]}; "
                "extract their features first"
            )
        first = read_array(self._specs[self.utts[0]], self.utts[0])
        if first.ndim != 2:
            raise SertlError(f"{scp}: {self.utts[0]} is of shape {first.shape}, expected a matrix")
        self.size = first.shape[1]
        self.num_frames: dict[str, int] = {}
        if num_frames is None:
            num_frames = {utt: len(self.read(utt)) for utt in self.utts}
        self.num_frames = {utt: num_frames[utt] for utt in self.utts}
        self.total = sum(self.num_frames.values())

    def read(self, utt: str) -> np.ndarray:
        """(T, D) float32.

        Raises:
            SertlError: If D or T is not as expected.
        """
        matrix = read_array(self._specs[utt], utt)
        expected = (self.num_frames.get(utt, len(matrix)), self.size)
        if matrix.shape != expected:
            raise SertlError(f"{self.scp}: {utt} has shape {matrix.shape}, expected {expected}")
        return matrix

    def stored(self) -> list[str]:
        """The ids as their frames are stored, for a pass over all of them."""
        return self._specs.in_order(self.utts)

    def blocks(self, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Every frame once, shuffled: utterances in random order, and frames within a block.

        Args:
            size: Frames per block; the last may be smaller. Two blocks are in memory at most.
            rng: Decides the order.

        Yields:
            (size, D) float32.
        """
        left, filled = self.total, 0
        block = np.empty((min(size, left), self.size), np.float32)
        places = rng.permutation(len(block))
        for index in rng.permutation(len(self.utts)):
            matrix = self.read(self.utts[index])
            while len(matrix):
                part = matrix[: len(block) - filled]
                block[places[filled : filled + len(part)]] = part
                matrix, filled = matrix[len(part) :], filled + len(part)
                if filled == len(block):
                    yield block
                    left, filled = left - len(block), 0
                    block = np.empty((min(size, left), self.size), np.float32)
                    places = rng.permutation(len(block))

    def sample(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """(min(number, total), D): frames drawn without replacement, all equally likely."""
        chosen = rng.choice(self.total, min(number, self.total), replace=False)
        chosen.sort()
        ends = np.cumsum(list(self.num_frames.values()))
        owners = np.searchsorted(ends, chosen, side="right")  # whose frame each one is
        out = np.empty((len(chosen), self.size), np.float32)
        for index in np.unique(owners):
            rows = owners == index
            utt = self.utts[index]
            first = ends[index] - self.num_frames[utt]
            out[rows] = self.read(utt)[chosen[rows] - first]
        rng.shuffle(out)
        return out


class FrameSample:
    """At most MAX_FRAMES of all frames added, each as likely as any other.

    To kmeans.learn it is what Frames is for frames that lie in arks.

    Args:
        seed: Decides the sample.

    Attributes:
        scp: Stands in messages where Frames has its file.
    """

    scp = "the frames of the training data"

    def __init__(self, seed: int):
        self._generator = torch.Generator().manual_seed(seed)
        # One block from the beginning: one that grows leaves holes behind that nothing fits into.
        self._room, self._keys = None, torch.empty(0)

    @property
    def total(self) -> int:
        """Frames in the sample."""
        return len(self._keys)

    def add(self, frames: torch.Tensor) -> None:
        """Add frames (N, D) float32."""
        if self._room is None:
            self._room = torch.empty(MAX_FRAMES, frames.shape[1])  # untouched, it costs nothing
        old, new = self.total, torch.rand(len(frames), generator=self._generator)
        # Every frame draws a key; those of the smallest keys stay, where they are.
        keys = torch.cat([self._keys, new])
        total = min(len(keys), MAX_FRAMES)
        stays = torch.zeros(len(keys), dtype=torch.bool)
        stays[keys.topk(total, largest=False).indices] = True
        places = torch.cat([(~stays[:old]).nonzero()[:, 0], torch.arange(old, total)])
        comes = stays[old:]
        self._room[places] = frames.cpu()[comes]
        self._keys = torch.cat([self._keys, new.new_empty(total - old)])
        self._keys[places] = new[comes]

    def change(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Replace the frames (N, D) by what a function makes of them."""
        if self._room is not None:
            self._room[: self.total] = function(self._room[: self.total]).cpu()

    def sample(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """(min(number, total), D): frames drawn without replacement."""
        return self._room.numpy()[rng.choice(self.total, min(number, self.total), replace=False)]

    def blocks(self, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Every frame once, shuffled, in blocks (size, D); the last may be smaller."""
        order = rng.permutation(self.total)
        for first in range(0, self.total, size):
            yield self._room.numpy()[order[first : first + size]]
