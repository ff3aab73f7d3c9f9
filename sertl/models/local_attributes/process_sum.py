# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Sums over all training processes, for statistics that every process must hold alike."""

import torch
from torch import distributed as dist


def sum_over_processes(*tensors: torch.Tensor) -> None:
    """Replace each tensor by its sum over processes, in place and in one message.

    Every process must call it, with tensors of the same shapes, type and device.
    """
    if not dist.is_initialized():
        return
    flat = torch.cat([t.reshape(-1) for t in tensors])
    dist.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))
