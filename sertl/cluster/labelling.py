# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Frames to their nearest centroids: how they spread, and cluster ids of all as int32 arks."""

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch

from sertl.cluster.codebook import Codebook
from sertl.cluster.frames import Frames
from sertl.cluster.nearest import Nearest
from sertl.data.ark import ArkWriter
from sertl.errors import SertlError

BLOCK_FRAMES = 4096  # read and moved to the device together


Labelled = tuple[str, np.ndarray, np.ndarray | None]


def label_utterances(nearest: Nearest, frames: Frames, far: bool = True) -> Iterator[Labelled]:
    """Label every utterance; several at a time, so that short ones fill a block.

    As many threads as PyTorch has read and label a block each, with one thread a product: two
    products of one thread are done before two of two threads, and while one waits for the disk, the
    other computes.

    Yields:
        Utterance, (T,) int32 labels, (T,) float32 squared distances, or None if far is False.
    """
    workers = torch.get_num_threads() if nearest.device.type == "cpu" else 1
    if workers == 1:
        for utts in blocks_of(frames):
            yield from label_block(nearest, frames, utts, far)
        return
    with single_threads(workers) as pool:
        ahead: deque = deque()
        for utts in blocks_of(frames):
            ahead.append(pool.submit(label_block, nearest, frames, utts, far))
            if len(ahead) > workers:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()


def blocks_of(frames: Frames) -> Iterator[list[str]]:
    """Utterances as they are stored, of at least BLOCK_FRAMES frames together but the last."""
    held, total = [], 0
    for utt in frames.stored():
        held.append(utt)
        total += frames.num_frames[utt]
        if total >= BLOCK_FRAMES:
            yield held
            held, total = [], 0
    if held:
        yield held


def label_block(nearest: Nearest, frames: Frames, utts: Sequence[str], far: bool) -> list[Labelled]:
    """Label some utterances together."""
    block = [frames.read(utt) for utt in utts]
    ends = np.cumsum([len(m) for m in block])[:-1]
    if far:
        labels, distances = nearest(np.concatenate(block))
        return list(zip(utts, np.split(labels, ends), np.split(distances, ends), strict=True))
    labels = nearest.labels(np.concatenate(block))
    return [(utt, own, None) for utt, own in zip(utts, np.split(labels, ends), strict=True)]


@contextmanager
def single_threads(number: int) -> Iterator[ThreadPoolExecutor]:
    """Threads in each of which PyTorch computes with one; work that they have not begun is left."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(number, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)  # which is also that of threads to come


def usage(nearest: Nearest, frames: Frames) -> tuple[np.ndarray, float]:
    """How frames spread over the centroids.

    Returns:
        (K,) int64 frames of each centroid, and the mean squared distance of a frame to its own.
    """
    counts, total = np.zeros(len(nearest.centroids), np.int64), 0.0
    for _, labels, distances in label_utterances(nearest, frames):
        counts += np.bincount(labels, minlength=len(counts))
        total += float(distances.sum(dtype=np.float64))
    return counts, total / frames.total


def dump_labels(
    codebook: Codebook,
    frames: Frames,
    prefix: str | os.PathLike,
    genders: Mapping[str, str | None] | None = None,
    device: torch.device | str = "cpu",
) -> None:
    """Write `<prefix>.ark` and `<prefix>.scp`: (T,) int32 for each utterance.

    Args:
        codebook: Of this fold (see Codebook.check_ids, which the caller asks).
        frames: Utterances to label.
        prefix: E.g. `…/labels`.
        genders: For a codebook per gender; an utterance of unknown gender may get any centroid.
        device: Where distances are computed.

    Raises:
        SertlError: If the frames have other dimensions than the centroids.
    """
    size = codebook.centroids.shape[1]
    if frames.size != size:
        raise SertlError(
            f"{frames.scp}: frames have {frames.size} dimensions, the codebook's centroids {size}; "
            "it was learned from other features"
        )
    groups: dict[tuple[int, int], list[str]] = {}
    for utt in frames.utts:
        part = codebook.part(genders[utt] if genders else None)
        groups.setdefault((part.start, part.stop), []).append(utt)
    with ArkWriter(prefix) as writer:
        for (start, stop), utts in sorted(groups.items()):
            nearest = Nearest(codebook.centroids[start:stop], device)
            group = Frames(frames.scp, utts, frames.num_frames)
            for utt, labels, _ in label_utterances(nearest, group, far=False):
                writer.write(utt, (labels + start).astype(np.int32))
