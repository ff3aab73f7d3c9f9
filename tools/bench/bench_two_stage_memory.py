# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Peak memory and seconds per update of both stages of two_stage, at the size of XLS-R 300M.

Rows: stage 1 tunes the whole encoder, stage 2 the adapters in it; both also with
upstream_conf.grad_checkpoint. bf16 autocast, a batch accumulated in micro-batches, each row in a
fresh process, in turn, several rounds. Memory is the GPU's, where there is one, else that of the
process, whose Python and libraries take some 0.6 GiB. The first update of a process, which
allocates, is not counted. Random weights; nothing is downloaded.

    python tools/bench/bench_two_stage_memory.py --blocks 2 --batch 4 --micro-batch 2 --rounds 1
"""

import argparse

import torch
from machine import measure, print_machine, print_table, summary

ROWS = {
    "stage 1, whole encoder": (1, False),
    "stage 1, recomputing": (1, True),
    "stage 2, adapters": (2, False),
    "stage 2, recomputing": (2, True),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=24, help="default: %(default)s")
    parser.add_argument("--size", type=int, default=1024, help="D (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="clips per update (%(default)s)")
    parser.add_argument("--micro-batch", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=5.0, help="per clip (%(default)s)")
    parser.add_argument("--steps", type=int, default=4, help="updates a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="all by default"
    )
    args = parser.parse_args()
    if args.batch % args.micro_batch or args.steps < 2:
        parser.error("--batch must be a multiple of --micro-batch, and --steps at least 2")

    print_machine()
    found = {row: [] for row in ROWS}
    peaks, trained, device = dict.fromkeys(ROWS, 0.0), {}, ""
    sizes = {k: v for k, v in vars(args).items() if k not in ("rounds", "threads")}
    for _ in range(args.rounds):
        for row, (stage, again) in ROWS.items():
            result = measure(
                "two_stage_steps.py", args.threads, stage=stage, grad_checkpoint=again, **sizes
            )
            found[row] += result["sec"][1:]
            peaks[row] = max(peaks[row], result["peak_gib"])
            trained[row], device = result["trained"], result["device"]
    print(
        f"{args.blocks} blocks of size {args.size}; {args.batch} clips of {args.seconds:g} s an "
        f"update, {args.micro_batch} at a time; bf16 autocast, {device}"
    )
    print_table(
        ["row", "trained parameters", "an update", "peak memory"],
        [
            [row, f"{trained[row]:,}", summary(seconds), f"{peaks[row]:.2f} GiB"]
            for row, seconds in found.items()
        ],
    )


if __name__ == "__main__":
    main()
