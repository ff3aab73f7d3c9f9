# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Seconds per update of an encoder's top blocks: from audio, and from the state below them.

That state is what stage 3 dumps for upstream_conf.from_layer. HuBERT-base and Whisper tiny with
random weights, noise for speech, head and optimiser alike; each row in a fresh process, in turn,
several rounds; ratios are of the medians. Reading audio and reading the dump are not in it. Nothing
is downloaded.

    python tools/bench/bench_from_layer.py --rounds 3
"""

import argparse
from statistics import median

from machine import print_machine, print_table, summary
from update_rows import describe, measure_rows, options, parse

ENCODERS = {  # name: blocks, size, blocks that are tuned
    "whisper tiny": (4, 384, 2),
    "hubert base": (12, 768, 2),
}


def main() -> None:
    parser = options(__doc__, blocks=0, size=0, batch=8, micro_batch=8, seconds=4.0)
    parser.add_argument("--bf16", action="store_true", help="autocast")
    parser.add_argument("--all-states", action="store_true", help="the head reads all states")
    args = parse(parser)
    args.grad_checkpoint = False
    print_machine()
    rows = []
    for name, (blocks, size, tuned) in ENCODERS.items():
        wanted = {
            f"{name}, {kind}": {
                "encoder": name, "blocks": blocks, "size": size, "tuned": tuned, "kind": kind,
            }
            for kind in ("from audio", "from the state")
        }  # fmt: skip
        found = measure_rows("from_layer_steps.py", wanted, args)
        live, dumped = found.values()
        sizes = argparse.Namespace(**{**vars(args), "blocks": blocks, "size": size})
        print(describe(sizes, [live, dumped], "bf16 autocast" if args.bf16 else "float32"))
        rows.append(
            [
                f"{name}, top {tuned} of {blocks}",
                summary(live.seconds),
                summary(dumped.seconds),
                f"{median(live.seconds) / median(dumped.seconds):.2f}",
                f"{live.peak_gib:.2f}, {dumped.peak_gib:.2f} GiB",
            ]
        )
    print_table(["encoder", "from audio", "from the state", "times faster", "peak memory"], rows)


if __name__ == "__main__":
    main()
