# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 7: decode dev, test and such sets of one fold and seed with the selected checkpoint."""

import argparse

from sertl.cli import run
from sertl.train.decode import decode
from sertl.train.experiment import load_experiment
from sertl.train.place import add_place, place_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_place(parser)
    parser.add_argument(
        "--sets", nargs="+", default=["dev", "test"], help="parts of the fold (default: dev test)"
    )
    args = parser.parse_args()
    decode(load_experiment(args.exp), place_of(args), args.sets, args.ngpu > 0, args.redo)


if __name__ == "__main__":
    run(main)
