# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What the measuring processes share: their arguments, a clock around updates, their peak memory.

A worker is a script that machine.measure runs in a process of its own: arguments as JSON in, a
report as JSON in the last line out.
"""

import argparse
import json
import logging
import time
from collections.abc import Callable

import torch
from machine import peak_gib


def start(doc: str) -> dict:
    """The arguments, after setting threads and seed and silencing the log."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("arguments", help="JSON, see machine.measure")
    args = json.loads(parser.parse_args().arguments)
    logging.disable(logging.WARNING)
    torch.set_num_threads(args["threads"])
    torch.manual_seed(0)
    return args


def report(**figures: object) -> None:
    """Hand figures to machine.measure."""
    print(json.dumps(figures))


def device() -> torch.device:
    """The GPU, where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def time_updates(
    loss_of: Callable[[], torch.Tensor],
    optimizer: torch.optim.Optimizer,
    number: int,
    pieces: int = 1,
    autocast: bool = True,
) -> list[float]:
    """Seconds of each of some updates: forward, backward and optimiser.

    Args:
        loss_of: Loss of a micro-batch.
        optimizer: Of what trains.
        number: Updates. The first allocates memory and is slower.
        pieces: Micro-batches that an update accumulates.
        autocast: Under bf16.
    """
    kind = device().type
    seconds = []
    for _ in range(number):
        begun = time.monotonic()
        for _ in range(pieces):
            with torch.autocast(kind, torch.bfloat16, enabled=autocast):
                loss = loss_of()
            (loss / pieces).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if kind == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.monotonic() - begun)
    return seconds


def peak() -> float:
    """Largest memory so far in GiB: of the GPU, where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return peak_gib()
