# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Attention on a CPU, forwards and back, of bf16 frames: torch's fused function, and sertl's.

Which takes float32 when it trains there (nn/dot_product.py), the conversions being part of its
time: the way back in 16 bits is slow. Products written out in bf16 are a third row; they round the
scores and keep a matrix of frames by frames.

    python tools/bench/bench_attention.py --rounds 9
"""

import argparse
import time
from collections.abc import Callable

import torch
from machine import print_machine, print_table, summary
from torch.nn import functional as F

from sertl.nn.dot_product import dot_product_attention

SHAPES = ((16, 6, 75), (8, 12, 150), (4, 12, 250), (4, 12, 500))  # clips, heads, frames
WIDTH = 64  # of a head


def written_out(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """The products and the softmax, one after the other."""
    return (query * WIDTH**-0.5 @ key.transpose(-1, -2)).softmax(dim=-1) @ value


ROWS: dict[str, Callable] = {
    "fused, bf16": F.scaled_dot_product_attention,
    "sertl": dot_product_attention,
    "written out, bf16": written_out,
}


def seconds(attention: Callable, parts: list[torch.Tensor], back: bool) -> float:
    begun = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = attention(*parts)
    if back:
        out.backward(torch.ones_like(out))
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print_machine()
    table = []
    for clips, heads, frames in SHAPES:
        parts = [
            torch.randn(clips, frames, heads, WIDTH, dtype=torch.bfloat16)
            .transpose(1, 2)
            .requires_grad_()
            for _ in range(3)
        ]
        found = {(row, back): [] for row in ROWS for back in (False, True)}
        for _ in range(args.rounds):
            for row, back in found:
                found[row, back].append(seconds(ROWS[row], parts, back))
        for row in ROWS:
            times = [summary([1000 * t for t in found[row, back]], "ms") for back in (False, True)]
            table.append([f"{clips} x {heads} x {frames}", row, *times])
    print_table(["clips x heads x frames", "", "forwards", "and back"], table)


if __name__ == "__main__":
    main()
