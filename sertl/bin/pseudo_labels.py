# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 5: cluster the teacher's frames and label them, for one fold and seed.

Finished label sets are kept, an interrupted stage goes on with the next.
"""

import argparse

from sertl.cli import run
from sertl.lock import alone
from sertl.train.experiment import load_experiment
from sertl.train.label_stage import PHASE, label_fold
from sertl.train.place import add_place, place_of


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_place(parser)
    args = parser.parse_args()
    place = place_of(args)
    with alone(place.folder / PHASE, wait=False):
        label_fold(load_experiment(args.exp), place, args.ngpu > 0, args.redo)


if __name__ == "__main__":
    run(main)
