# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Seconds per update, peak memory and checkpoint size of parts inside a frozen encoder.

LoRA (rank 8; queries, keys, values), adapters (64) and all four parts of `peft`, against full
fine-tuning, against a frozen encoder with a head, and against the peft library's LoRA on the same
encoder: HuBERT-base of Hugging Face with random weights. Each row in a fresh process, in turn,
several rounds; ratios are of the medians. Memory is the GPU's, where there is one, else that of the
process, whose Python and libraries take some 0.6 GiB. The first update of a process, which
allocates, is not counted. Nothing is downloaded.

    python tools/bench/bench_peft.py --blocks 2 --batch 2 --micro-batch 2 --rounds 1
"""

import argparse
from statistics import median

import torch
from machine import measure, print_machine, print_table, summary

FIRST = "full"
ROWS = [FIRST, "frozen", "lora", "lora, peft", "adapter", "all parts"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=12, help="default: %(default)s")
    parser.add_argument("--size", type=int, default=768, help="D (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="clips per update (%(default)s)")
    parser.add_argument("--micro-batch", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=4.0, help="per clip (%(default)s)")
    parser.add_argument("--steps", type=int, default=4, help="updates a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--bf16", action="store_true", help="autocast")
    parser.add_argument("--grad-checkpoint", action="store_true", help="recompute the blocks")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="all by default"
    )
    args = parser.parse_args()
    if args.batch % args.micro_batch or args.steps < 2:
        parser.error("--batch must be a multiple of --micro-batch, and --steps at least 2")

    print_machine()
    found = {row: [] for row in ROWS}
    last = {}
    peaks = dict.fromkeys(ROWS, 0.0)
    sizes = {k: v for k, v in vars(args).items() if k not in ("rounds", "threads")}
    for _ in range(args.rounds):
        for row in ROWS:
            last[row] = measure("peft_steps.py", args.threads, row=row, **sizes)
            found[row] += last[row]["sec"][1:]
            peaks[row] = max(peaks[row], last[row]["peak_gib"])
    print(
        f"{args.blocks} blocks of size {args.size}; {args.batch} clips of {args.seconds:g} s an "
        f"update, {args.micro_batch} at a time; {'bf16 autocast' if args.bf16 else 'float32'}, "
        f"{args.threads} threads, {last[FIRST]['device']}"
    )
    print_table(
        ["row", "trained parameters", "an update", f"of {FIRST}", "peak memory", "checkpoint"],
        [
            [
                row,
                f"{last[row]['trained']:,}",
                summary(seconds),
                f"{median(seconds) / median(found[FIRST]):.2f}",
                f"{peaks[row]:.2f} GiB",
                f"{last[row]['saved_mib']:.2f} MiB",
            ]
            for row, seconds in found.items()
        ],
    )


if __name__ == "__main__":
    main()
