# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Pack a trained model with its labels, scores, protocol and limits: a file or folder to publish.

sertl pack --model exp/mini --out mini.sertl
sertl pack --model exp/mini --folds 1 --with-upstream --out mini-model/     # push as it is
"""

import argparse

from sertl.cli import run
from sertl.use.opening import numbers
from sertl.use.packing import pack


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", required=True, help="exp/<tag>, a fold of it, or a phase")
    add("--out", required=True, help="NAME.sertl: one file; else a folder")
    add("--seeds", default="", help='only these of an experiment, as in "1 2"')
    add("--folds", default="", help="likewise")
    add("--with-upstream", action="store_true", help="the encoder's checkpoint too")
    add("--ckpt", default="", help="where the encoder's weights lie now")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    seeds, folds = numbers(args.seeds, "--seeds"), numbers(args.folds, "--folds")
    out = pack(args.model, args.out, seeds, folds, args.with_upstream, args.ckpt or None)
    print(out)


if __name__ == "__main__":
    run(main)
