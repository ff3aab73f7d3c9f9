# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 7: decode dev, test and such sets of folds of one seed with the selected checkpoint."""

import argparse

from sertl.cli import run
from sertl.config import read_config
from sertl.lock import alone
from sertl.runs import add_run, runs_of
from sertl.stages.decoding import decode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_run(parser)
    parser.add_argument(
        "--sets", nargs="+", default=["dev", "test"], help="parts of the fold (default: dev test)"
    )
    args = parser.parse_args()
    conf = read_config(args.exp)
    for one in runs_of(args):
        with alone(one.folder / "decode", wait=True):
            decode(conf, one, args.sets, args.ngpu > 0, args.redo)


if __name__ == "__main__":
    run(main)
