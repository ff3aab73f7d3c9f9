# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Several training processes under torchrun: who I am, summing gradients, gathering results."""

import importlib
import os
from collections.abc import Iterable

import torch
from torch import distributed as dist

from sertl.errors import SertlError


def init(use_gpu: bool) -> torch.device:
    """Join the process group if torchrun started us; return this process's device.

    Raises:
        SertlError: If a GPU is asked for and there is none.
    """
    device = torch.device("cpu")
    if use_gpu:
        if not torch.cuda.is_available():
            raise SertlError("--ngpu 1 or more was given, but torch sees no GPU (try doctor)")
        number, present = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if number >= present:
            raise SertlError(f"--ngpu asks for more GPUs than the {present} that torch sees")
        device = torch.device("cuda", number)
        torch.cuda.set_device(device)
        torch.backends.cudnn.allow_tf32 = False  # as in the dump: convolutions in full precision
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        # Building an optimiser imports this. Imported while there is a group, it keeps the group's
        # threads alive after close(), and one that is still at work when Python ends aborts it.
        importlib.import_module("torch._dynamo")
        dist.init_process_group("nccl" if use_gpu else "gloo")
    return device


def rank_and_world() -> tuple[int, int]:
    """This process's rank and the number of processes; (0, 1) without a process group."""
    if not dist.is_initialized():
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def close() -> None:
    """Leave the process group, together: who leaves first cuts the others' connection."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def sum_gradients(parameters: Iterable[torch.nn.Parameter], extra: torch.Tensor) -> torch.Tensor:
    """Sum gradients over processes in place, with the small vector extra in the same message.

    Gradients travel as one flat tensor instead of through DistributedDataParallel: parameters that
    a step leaves unused are then no special case.

    Args:
        parameters: The same parameters in the same order on every process.
        extra: (K,) float32 values to sum alongside.

    Returns:
        The summed extra.
    """
    if not dist.is_initialized():
        return extra
    parameters = list(parameters)
    for p in parameters:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    flat = torch.cat([extra, *(p.grad.reshape(-1).float() for p in parameters)])
    dist.all_reduce(flat)
    offset = len(extra)
    for p in parameters:
        p.grad.copy_(flat[offset : offset + p.numel()].view_as(p))
        offset += p.numel()
    return flat[: len(extra)]


def gather(value: object) -> list:
    """Collect one picklable value per process, in rank order, on every process."""
    if not dist.is_initialized():
        return [value]
    values: list = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def broadcast(tensors: Iterable[torch.Tensor]) -> None:
    """Give every process the first one's values, in place."""
    if dist.is_initialized():
        for tensor in tensors:
            dist.broadcast(tensor, 0)


def barrier() -> None:
    """Wait for the other processes."""
    if dist.is_initialized():
        dist.barrier()
