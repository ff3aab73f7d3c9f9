# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Lay out what adaptation gains and forgets: experiments of egs/adaptation on one pair.

  adaptation exp/source_only exp/target_only exp/pooled exp/two_stage… --out TABLE.md

Each must be scored on `test` (the target) and `source_test`; one of them is trained on the source
only and gives the scores before the second stage.
"""

import argparse
from pathlib import Path

from sertl.atomic import write_text
from sertl.cli import run
from sertl.report.adaptation_table import adaptation_tables
from sertl.score.pairing import UNITS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("exps", nargs="+", type=Path, metavar="EXP", help="exp/<tag>, scored")
    parser.add_argument(
        "--by",
        default="utt",
        choices=sorted(UNITS),
        help="what is resampled: utterances, or speakers with all they said (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, help="write Markdown to this file too")
    args = parser.parse_args()
    tables = adaptation_tables(args.exps, args.by)
    print("\n".join(table.text() for table in tables), end="")
    if args.out:
        write_text(args.out, "\n".join(table.markdown() for table in tables))


if __name__ == "__main__":
    run(main)
