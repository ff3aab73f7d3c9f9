#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Write tiny encoders with random weights, to try the recipes without a download.

Example: python tools/make_tiny_upstreams.py /tmp/tiny
         ./run.sh --upstream tiny_hubert --ckpt /tmp/tiny/hubert_base.pt
"""

import argparse

from sertl.cli import run
from sertl.upstream.tiny import save_all


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", help="folder to write to; created if missing")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: %(default)s)")
    args = parser.parse_args()
    for path in save_all(args.out, args.seed):
        print(path)


if __name__ == "__main__":
    run(main)
