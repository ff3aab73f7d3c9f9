# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Statistics of the frames of one utterance: pooling without parameters, so that it is done once.

Stage 3 stores them (`--pool mean,std`), heads on a live encoder compute them the same way.
"""

import re
from collections.abc import Callable, Sequence

import torch

from sertl.errors import SertlError, unknown_name

LEAST_VARIANCE = 1e-5  # as StatPooling, whose numbers these are

Statistic = Callable[[torch.Tensor], torch.Tensor]  # (..., T, D) -> (..., D)


def _std(frames: torch.Tensor) -> torch.Tensor:
    return frames.var(dim=-2, correction=0).clamp_min(LEAST_VARIANCE).sqrt()


NAMED: dict[str, Statistic] = {
    "mean": lambda frames: frames.mean(dim=-2),
    "std": _std,
    "max": lambda frames: frames.amax(dim=-2),
    "min": lambda frames: frames.amin(dim=-2),
}


def statistic(name: str) -> Statistic:
    """A statistic by name: mean, std, max, min, or q and a percentage for a quantile, as q25.

    Raises:
        SertlError: Unknown, with the nearest.
    """
    if name in NAMED:
        return NAMED[name]
    match = re.fullmatch(r"q(\d{1,2})", name) if isinstance(name, str) else None
    if match is None:
        raise unknown_name("statistic of frames", name, [*NAMED, "q10", "q25", "q50", "q75", "q90"])
    share = int(match[1]) / 100
    return lambda frames: _quantile(frames, share)


def _quantile(frames: torch.Tensor, share: float) -> torch.Tensor:
    """(..., T, D) -> (..., D), between two frames by their distances."""
    if not torch.compiler.is_compiling():
        return frames.quantile(share, dim=-2)
    # The same in operations that a graph of any length (export/graph.py) can hold.
    ranked = frames.sort(dim=-2).values
    place = torch.arange(frames.shape[-2]).amax(dim=0) * share
    low, high = (x.long().reshape(1) for x in (place.floor(), place.ceil()))
    low, high = (ranked.index_select(-2, x).squeeze(-2) for x in (low, high))
    return low + (high - low) * (place - place.floor())


def parse_statistics(text: str) -> list[str]:
    """ "mean,std" or "mean std" -> ["mean", "std"]; "" -> [].

    Raises:
        SertlError: An unknown name, or one that is there twice.
    """
    names = text.replace(",", " ").split()
    for name in names:
        statistic(name)
    if len(set(names)) < len(names):
        raise SertlError(f"a statistic is there twice: {text}")
    return names


def pool_frames(frames: torch.Tensor, names: Sequence[str]) -> torch.Tensor:
    """Statistics of one utterance's real frames, one after the other.

    Args:
        frames: (..., T, D) without padding, T >= 1.
        names: S statistics.

    Returns:
        (..., S * D) float32.
    """
    frames = frames.float()
    return torch.cat([statistic(name)(frames) for name in names], dim=-1)
