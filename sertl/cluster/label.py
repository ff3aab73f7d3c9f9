# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Cluster ids of every frame, as int32 arks."""

import os
from collections.abc import Mapping

import numpy as np
import torch

from sertl.cluster.assign import Nearest, label_utterances
from sertl.cluster.codebook import Codebook
from sertl.cluster.frames import Frames
from sertl.data.ark import ArkWriter
from sertl.errors import SertlError


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
