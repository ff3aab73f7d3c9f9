# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Layers and numbers of clusters of frame pseudo-labels, against their quality and the final UA.

  label_quality exp/A exp/B exp/C --out exp/NAME    writes exp/NAME.md and exp/NAME.png

A row for each label set of each experiment. An experiment with a single label set also shows what
the finished model makes of it. --reference adds the UA of one that has none. All must have been
scored on the same folds.
"""

import argparse
from pathlib import Path

from sertl.atomic import write_bytes, write_text
from sertl.cli import run
from sertl.report.label_set_table import load_qualities, quality_figure, quality_table
from sertl.score.pairing import load_scored


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("exps", nargs="+", type=Path, metavar="EXP", help="exp/<tag>, scored")
    parser.add_argument(
        "--reference", type=Path, metavar="EXP", help="without frame labels, scored"
    )
    parser.add_argument("--set", default="test", help="scored set (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="beginning of the two files to write")
    args = parser.parse_args()
    qualities = [q for exp in args.exps for q in load_qualities(exp, args.set)]
    reference = load_scored(args.reference, args.set) if args.reference else None
    table = quality_table(qualities, reference)
    print(table.text(), end="")
    if args.out:
        write_text(f"{args.out}.md", table.markdown())
        write_bytes(f"{args.out}.png", quality_figure(qualities, reference))


if __name__ == "__main__":
    run(main)
