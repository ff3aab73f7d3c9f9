# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Compare scored experiments: two in detail, or several as the rows of a table.

  compare exp/A exp/B                               difference with interval and paired tests
  compare --table exp/A exp/B exp/C --out TABLE.md  each row tested against the first
  compare --mean ../x/exp/A ../x/exp/B ../y/exp/A ../y/exp/B    B against A, mean over corpora

The experiments may lie in different recipes; they must have been scored on the same folds.
"""

import argparse
from pathlib import Path

from sertl.atomic import write_text
from sertl.cli import run
from sertl.report.comparison_table import compare_corpora, compare_table, compare_two
from sertl.score.pairing import UNITS, load_scored


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("exps", nargs="+", type=Path, metavar="EXP", help="exp/<tag>, scored")
    parser.add_argument("--set", default="test", help="default: %(default)s")
    parser.add_argument("--table", action="store_true", help="a row for each, instead of two")
    parser.add_argument(
        "--mean", action="store_true", help="pairs of several corpora, A and B of each in turn"
    )
    parser.add_argument(
        "--by",
        default="utt",
        choices=sorted(UNITS),
        help="what is resampled and swapped: utterances, or speakers with all they said "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--intersect",
        action="store_true",
        help="compare what both have scored, if their utterances or folds differ",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="YAML",
        help="with --table: published numbers of the same methods, conf/reference_results.yaml",
    )
    parser.add_argument("--out", type=Path, help="write Markdown to this file too")
    args = parser.parse_args()
    if args.table:  # exp/* also names the tables that lie there
        args.exps = [path for path in args.exps if not path.is_file()]
        if not args.exps:
            parser.error("no experiment among these files; name folders, exp/<tag>")
    if args.mean and (args.table or len(args.exps) % 2):
        parser.error("--mean takes two experiments of each corpus, and no --table")
    if not (args.table or args.mean) and len(args.exps) != 2:
        parser.error(f"expected two experiments, got {len(args.exps)} (or give --table)")
    if args.reference and not args.table:
        parser.error("--reference goes with --table; a run's own report has published numbers")
    if args.table:
        tables = [compare_table(args.exps, args.set, args.by, args.reference)]
    elif args.mean:
        found = [load_scored(exp, args.set) for exp in args.exps]
        tables = [compare_corpora(list(zip(found[::2], found[1::2], strict=True)), args.by)]
    else:
        a, b = (load_scored(exp, args.set) for exp in args.exps)
        tables = compare_two(a, b, args.by, args.intersect)
    print("\n".join(table.text() for table in tables), end="")
    if args.out:
        write_text(args.out, "\n".join(table.markdown() for table in tables))


if __name__ == "__main__":
    run(main)
