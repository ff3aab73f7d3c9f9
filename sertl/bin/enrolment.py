# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Speaker normalisation from a few clips of a speaker: UA by their number, skew and prior.

  ./run.sh --upstream X --method linear --stop-stage 3     vectors of all layers, and folds
  enrolment --data data --dump dump/X.mean-std --out exp/enrolment_X

Writes NAME.json (the numbers), NAME.md and NAME.png.
"""

import argparse
from pathlib import Path

import torch

from sertl.atomic import write_bytes, write_json, write_text
from sertl.cli import run
from sertl.errors import SertlError
from sertl.report.enrolment_table import enrolment_figure, enrolment_rows, enrolment_table
from sertl.solve.held_out import Settings
from sertl.stages.enrolment import ALL, conditions, scan_enrolment
from sertl.stages.fold_vectors import open_vectors


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder of the folds")
    parser.add_argument("--dump", required=True, help="pooled hidden states (--pool mean,std)")
    parser.add_argument("--folds", nargs="*", type=int, default=[], help="default: all")
    parser.add_argument(
        "--clips", nargs="+", default=["0", "1", "2", "5", "10", "20", "all"], help="numbers, all"
    )
    parser.add_argument(
        "--priors", nargs="+", default=["0", "estimated", "20"], help="in clips, or estimated"
    )
    parser.add_argument("--skewed", type=int, default=20, help="clips of few classes (default: 20)")
    parser.add_argument("--neutral", default="neutral", help="class (default: %(default)s)")
    parser.add_argument("--draws", type=int, default=3, help="of clips (default: %(default)s)")
    parser.add_argument(
        "--combine",
        default="mean",
        choices=("best", "mean", "stack", "concat", "auto", "blend"),
        help="of layers, as of linear (default: mean)",
    )
    parser.add_argument("--out", type=Path, help="beginning of the files to write")
    args = parser.parse_args()
    torch.set_num_threads(1)
    counts = [ALL if word == "all" else whole(word) for word in args.clips]
    priors = [None if word == "estimated" else float(whole(word)) for word in args.priors]
    _, folds = open_vectors(args.data, args.dump, ["mean", "std"], args.folds)
    wanted = conditions(counts, priors, args.skewed)
    settings = Settings(combine=args.combine)
    found = scan_enrolment(folds, settings, wanted, args.draws, args.neutral)
    rows = enrolment_rows(found)
    table = enrolment_table(found, rows)
    print(table.text(), end="")
    if args.out:
        write_json(f"{args.out}.json", found)
        write_text(f"{args.out}.md", table.markdown())
        write_bytes(f"{args.out}.png", enrolment_figure(rows))


def whole(word: str) -> int:
    """A number of clips."""
    if not word.isdecimal():
        raise SertlError(f"'{word}' is no number of clips")
    return int(word)


if __name__ == "__main__":
    run(main)
