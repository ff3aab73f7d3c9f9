# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Whether bf16 pays on this machine: a CPU without bf16 arithmetic imitates it, far slower."""

import logging
import time
from functools import lru_cache

import torch
from torch.nn import functional as F

from sertl.errors import SertlError

logger = logging.getLogger(__name__)

PAYS = 0.8  # of float32's time: auto takes bf16 from here down
REFUSED = 1.5  # times float32's time: nobody means that
ROUNDS = 5


@lru_cache
def bf16_share(device: str = "cpu") -> float:
    """Time of bf16 as a share of float32's, of products and convolutions as encoders have them.

    Small enough to take less than a second where bf16 is imitated; of several rounds in turn the
    fastest of each kind counts, so that other work on the machine decides little.
    """
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(400, 768, generator=generator), torch.randn(768, 768, generator=generator))
    x, w = (
        torch.randn(1, 128, 800, generator=generator),
        torch.randn(128, 128, 3, generator=generator),
    )
    best = {}
    for _ in range(ROUNDS):
        for dtype in (torch.float32, torch.bfloat16):
            tensors = [t.to(device, dtype) for t in (a, b, x, w)]
            begun = time.perf_counter()
            F.linear(tensors[0], tensors[1])
            F.conv1d(tensors[2], tensors[3])
            if device != "cpu":
                torch.cuda.synchronize()
            best[dtype] = min(best.get(dtype, 1e9), time.perf_counter() - begun)
    return best[torch.bfloat16] / best[torch.float32]


def chosen_dtype(dtype: str, device: str = "cpu") -> str:
    """float32 or bf16: what `dtype` means on this machine.

    Args:
        dtype: float32, bf16, or auto: bf16 where it pays.
        device: Where the encoder runs.

    Raises:
        SertlError: For bf16 where it is far slower than float32.
    """
    if dtype == "float32":
        return dtype
    share = bf16_share(device)
    if dtype == "auto":
        found = "bf16" if share <= PAYS else "float32"
        logger.info("dtype auto: bf16 takes %.2f of float32's time here, %s", share, found)
        return found
    if share > REFUSED:
        raise SertlError(
            f"upstream.dtype=bf16: this machine has no bf16 arithmetic, it would take {share:.1f} "
            "times as long as float32; leave it out, or use upstream.dtype=auto"
        )
    warn_of_slow_bf16("upstream.dtype", device)
    return dtype


def warn_of_slow_bf16(key: str, device: str = "cpu") -> None:
    """Say so where what a key asks for is slower than float32."""
    share = bf16_share(device)
    if share > 1.0:
        logger.warning("%s=bf16 takes %.2f times float32's time on this machine", key, share)
