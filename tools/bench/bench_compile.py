# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""HuBERT-base as it is and under torch.compile (inductor, sizes left open), on a CPU.

A batch of clips of different lengths through the convolutions, one clip at a time, and through the
blocks, all together, as a dump does it. Beside the times: how long compiling takes, how fast the
products of the blocks are, and the same products alone, and the largest difference of a feature.
Needs a C++ compiler.

    python tools/bench/bench_compile.py --rounds 5
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from hubert_base import save_hubert_base
from machine import CONF_DIR, print_machine, print_table, summary

from sertl.upstream.build import build_upstream, load_conf
from sertl.upstream.encoder import Upstream, in_float32
from sertl.upstream.padding import frame_padding, stack_frames

AUTOCAST = {"float32": torch.float32, "bf16": torch.bfloat16}
SAMPLES = (48000, 45000, 40123, 37000, 52000, 33000)  # 2 to 3.3 s
PRODUCTS = 12 * 12 * 768**2 * 2  # operations of a frame in all blocks: q, k, v, out, two of 4 D


def inputs_of_blocks(upstream: Upstream, clips: list[torch.Tensor]) -> tuple:
    """(B, T, D) and the mask (B, T) of padding."""
    x, frames = stack_frames([upstream.convolve(clip[None])[0] for clip in clips])
    padding = frame_padding(frames, x.device)
    with in_float32(x):
        x = upstream.project(x.float())
    return x.masked_fill(padding[:, :, None], 0.0), padding


def product_alone(frames: int, dtype: str, rounds: int) -> list[str]:
    """Table row of the largest product of a block: (frames, 768) by (768, 3072)."""
    x, weight = (torch.randn(rows, 768).to(AUTOCAST[dtype]) for rows in (frames, 3072))
    _, seconds, _ = timed(lambda: torch.nn.functional.linear(x, weight), rounds)
    rate = 2 * frames * weight.numel() / min(seconds) / 1e9
    return [
        f"{dtype}, a product",
        summary(seconds),
        "",
        f"{rate:.0f} GFLOP/s",
        "",
    ]


def timed(call: Callable, rounds: int) -> tuple[float, list[float], list[torch.Tensor]]:
    """Seconds of the first call, of the others, and what it gives."""
    found = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        result = call()
        found.append(time.perf_counter() - begun)
    return found[0], found[1:], result


@torch.no_grad()
def rows_of(upstream: Upstream, dtype: str, rounds: int) -> list[list[str]]:
    """Table rows of one precision."""
    generator = torch.Generator().manual_seed(0)
    clips = [0.1 * torch.randn(number, generator=generator) for number in SAMPLES]
    layers = set(range(upstream.num_layers))
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16"):
        x, padding = inputs_of_blocks(upstream, clips)
        rows = [product_alone(padding.numel(), dtype, 5 * rounds)]
        eager: dict[str, list[torch.Tensor]] = {}
        for kind in ("eager", "compiled"):
            convolve, transform = upstream.convolve, upstream.transform
            if kind == "compiled":
                convolve = torch.compile(convolve, dynamic=True)
                transform = torch.compile(transform, dynamic=True)
            calls = {
                "convolutions": lambda f=convolve: [f(clip[None]) for clip in clips],
                "blocks": lambda f=transform: list(f(x, padding, layers).values()),
            }
            for part, call in calls.items():
                first, seconds, result = timed(call, rounds)
                pairs = zip(result, eager.setdefault(part, result), strict=True)
                differs = max(float((a - b).abs().max()) for a, b in pairs)
                rate = PRODUCTS * padding.numel() / min(seconds) / 1e9
                rows.append(
                    [f"{dtype}, {part}, {kind}", summary(seconds), f"{first:.1f} s"]
                    + [f"{rate:.0f} GFLOP/s" if part == "blocks" else "", f"{differs:.1g}"]
                )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print_machine()
    table = []
    with tempfile.TemporaryDirectory() as folder:
        ckpt = Path(folder) / "hubert_base.pt"
        save_hubert_base(ckpt)
        for dtype in ("float32", "bf16"):
            conf = load_conf("hubert_base", CONF_DIR / "upstream", {"ckpt": str(ckpt)})
            upstream = build_upstream({**conf, "dtype": dtype})
            table += rows_of(upstream, dtype, args.rounds)
            torch._dynamo.reset()
    print_table(["", "seconds", "first call", "products", "differs"], table)


if __name__ == "__main__":
    main()
