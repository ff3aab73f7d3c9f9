# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 5: cluster the teacher's frames and label them, for folds of one seed.

Finished label sets are kept, an interrupted stage goes on with the next. With --shard i/N a machine
only dumps a part of the hidden states; after all of them, the same command without it.
"""

import argparse

from sertl.cli import run
from sertl.config import read_config
from sertl.lock import alone
from sertl.runs import PSEUDO_LABELS, add_run, runs_of
from sertl.shard import Shard
from sertl.stages.pseudo_labelling import label_fold


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_run(parser)
    parser.add_argument("--shard", default="", metavar="I/N", help="only dump the i-th of N parts")
    args = parser.parse_args()
    shard = Shard.parse(args.shard)
    for one in runs_of(args):
        with alone(one.phase(PSEUDO_LABELS), wait=False, shared=shard is not None):
            label_fold(read_config(args.exp), one, args.ngpu > 0, args.redo, shard)


if __name__ == "__main__":
    run(main)
