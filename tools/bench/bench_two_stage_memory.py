# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Peak memory and seconds per update of both phases of two_stage, at the size of XLS-R 300M.

Rows: phase 1 tunes the whole encoder, phase 2 the adapters in it; both also with
upstream_conf.grad_checkpoint. bf16 autocast, a batch accumulated in micro-batches, each row in a
fresh process, in turn, several rounds. Memory is the GPU's, where there is one, else that of the
process, whose Python and libraries take some 0.6 GiB. The first update of a process, which
allocates, is not counted. Random weights; nothing is downloaded.

    python tools/bench/bench_two_stage_memory.py --blocks 2 --batch 4 --micro-batch 2 --rounds 1
"""

from machine import print_machine, print_table, summary
from update_rows import describe, measure_rows, options, parse

ROWS = {
    "phase 1, whole encoder": {"phase": 1, "grad_checkpoint": False},
    "phase 1, recomputing": {"phase": 1, "grad_checkpoint": True},
    "phase 2, adapters": {"phase": 2, "grad_checkpoint": False},
    "phase 2, recomputing": {"phase": 2, "grad_checkpoint": True},
}


def main() -> None:
    args = parse(options(__doc__, blocks=24, size=1024, batch=16, micro_batch=4, seconds=5.0))
    print_machine()
    found = measure_rows("two_stage_steps.py", ROWS, args)
    print(describe(args, [*found.values()], "bf16 autocast"))
    print_table(
        ["row", "trained parameters", "an update", "peak memory"],
        [
            [name, f"{r.report['trained']:,}", summary(r.seconds), f"{r.peak_gib:.2f} GiB"]
            for name, r in found.items()
        ],
    )


if __name__ == "__main__":
    main()
