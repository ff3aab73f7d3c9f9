# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Frames of unequal clips in one batch: padding masks, and the rules for a clip's last frames."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence


def frame_padding(frames: Sequence[int], device: torch.device | str) -> torch.Tensor:
    """(B, max(frames)) bool, True where a frame is padding."""
    frames = torch.as_tensor(frames, device=device)
    return torch.arange(int(frames.max()), device=device) >= frames[:, None]


def each_alone(
    clips: list[torch.Tensor], front_end: Callable[[torch.Tensor], torch.Tensor]
) -> list[torch.Tensor]:
    """Apply front_end to each clip without padding; clips of exactly equal length go together.

    A convolutional front end with group norm takes its statistics over the whole clip, so padding
    would change every frame. Equal lengths need no padding and give what each clip gives alone.

    Args:
        clips: B tensors (N_b,).
        front_end: (b, N) -> (b, T, C).

    Returns:
        B tensors (T_b, C), in the order of clips.
    """
    groups: dict[int, list[int]] = {}
    for row, clip in enumerate(clips):
        groups.setdefault(len(clip), []).append(row)
    features: dict[int, torch.Tensor] = {}
    for rows in groups.values():
        out = front_end(torch.stack([clips[row] for row in rows]))
        features.update(zip(rows, out, strict=True))
    return [features[row] for row in range(len(clips))]


def stack_frames(features: list[torch.Tensor]) -> tuple[torch.Tensor, list[int]]:
    """B tensors (T_b, C) -> (B, T, C) padded with zeros, and the T_b."""
    return pad_sequence(features, batch_first=True), [len(f) for f in features]


def replace_frames(x: torch.Tensor, mask: tuple[torch.Tensor, torch.Tensor] | None) -> torch.Tensor:
    """Put a vector in the place of masked frames.

    Args:
        x: (B, T, D).
        mask: (B, T') bool and (D,), or None. Frames from T' on are not masked.

    Returns:
        (B, T, D).
    """
    if mask is None:
        return x
    chosen, vector = mask
    chosen = F.pad(chosen, (0, max(0, x.shape[1] - chosen.shape[1])))[:, : x.shape[1]]
    return torch.where(chosen[:, :, None], vector.to(x.dtype), x)


def repeat_last(states: torch.Tensor, frames: list[int], wanted: list[int]) -> torch.Tensor:
    """Bring each row from frames[b] to wanted[b] frames: cut, or repeat its own last frame.

    Args:
        states: (B, T, D), padded after frames[b].

    Returns:
        (B, max(wanted), D); frames at or after wanted[b] are copies too, not zeros.
    """
    last = torch.tensor(frames, device=states.device)[:, None] - 1  # (B, 1)
    index = torch.arange(max(wanted), device=states.device)[None].expand(len(frames), -1)
    index = torch.minimum(index, last)  # (B, W)
    return states.gather(1, index[:, :, None].expand(-1, -1, states.shape[2]))


def join(
    states: dict[int, torch.Tensor], frames: list[int], owner: list[int]
) -> tuple[dict[int, torch.Tensor], list[int]]:
    """Put the windows of each clip, rows of (W, T, D), behind each other: (B, T', D)."""
    total = [0] * (owner[-1] + 1)
    for row, count in zip(owner, frames, strict=True):
        total[row] += count
    if len(total) == len(owner):
        return {i: x[:, : max(frames)] for i, x in states.items()}, total
    joined = {}
    for i, x in states.items():
        clips = [[] for _ in total]
        for window, count, row in zip(x, frames, owner, strict=True):
            clips[row].append(window[:count])
        joined[i], _ = stack_frames([torch.cat(parts) for parts in clips])
    return joined, total
