# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Frames to their nearest centroids: how they spread, and cluster ids of all as int32 arks."""

import os
from collections.abc import Iterator, Mapping

import numpy as np
import torch

from sertl.cluster.codebook import Codebook
from sertl.cluster.frames import Frames
from sertl.cluster.nearest import Nearest
from sertl.data.ark import ArkWriter
from sertl.errors import SertlError

BLOCK_FRAMES = 16384  # read and moved to the device together


def label_utterances(
    nearest: Nearest, frames: Frames
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Label every utterance; several at a time, so that short ones fill a block.

    Yields:
        Utterance, (T,) int32 labels, (T,) float32 squared distances.
    """
    held: list[tuple[str, np.ndarray]] = []
    for number, utt in enumerate(frames.stored(), start=1):
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
            for utt, labels, _ in label_utterances(nearest, group):
                writer.write(utt, (labels + start).astype(np.int32))
