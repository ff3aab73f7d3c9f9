# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Seconds per update, peak memory and checkpoint size of PEFT modules inside a frozen encoder.

LoRA (rank 8; queries, keys, values; also with what is below the blocks run once), adapters (64)
and all of `--method peft`, against full fine-tuning, against a frozen encoder with a head, and
against the peft library's LoRA on the same
encoder: HuBERT-base of Hugging Face with random weights. Each row in a fresh process, in turn,
several rounds; ratios are of the medians. Memory is the GPU's, where there is one, else that of the
process, whose Python and libraries take some 0.6 GiB. The first update of a process, which
allocates, is not counted. Nothing is downloaded.

    python tools/bench/bench_peft.py --blocks 2 --batch 2 --micro-batch 2 --rounds 1
"""

from statistics import median

from machine import print_machine, print_table, summary
from update_rows import describe, measure_rows, options, parse

FIRST = "full"  # the row that ratios refer to
ROWS = [FIRST, "frozen", "lora", "lora, cached", "lora, peft", "adapter", "all together"]


def main() -> None:
    parser = options(__doc__, blocks=12, size=768, batch=8, micro_batch=8, seconds=4.0)
    parser.add_argument("--bf16", action="store_true", help="autocast")
    parser.add_argument("--grad-checkpoint", action="store_true", help="recompute the blocks")
    args = parse(parser)
    print_machine()
    found = measure_rows("peft_steps.py", {row: {"row": row} for row in ROWS}, args)
    print(describe(args, [*found.values()], "bf16 autocast" if args.bf16 else "float32"))
    first = median(found[FIRST].seconds)
    print_table(
        ["row", "trained parameters", "an update", f"of {FIRST}", "peak memory", "checkpoint"],
        [
            [
                name,
                f"{r.report['trained']:,}",
                summary(r.seconds),
                f"{median(r.seconds) / first:.2f}",
                f"{r.peak_gib:.2f} GiB",
                f"{r.report['saved_mib']:.2f} MiB",
            ]
            for name, r in found.items()
        ],
    )


if __name__ == "__main__":
    main()
