# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 8: score what stage 7 decoded, for every fold and seed; never loads a model.

Writes exp/<tag>/seed<s>/fold<k>/score_<set>.json and prints a table. Run from the recipe's folder.
"""

import argparse
from pathlib import Path

from sertl.cli import run
from sertl.errors import SertlError
from sertl.lock import alone
from sertl.report.sections import score_table
from sertl.score.scoring import score_experiment


def numbers(text: str) -> list[int]:
    """Whole numbers parted by blanks."""
    return [int(word) for word in text.split()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exp", required=True, type=Path, help="exp/<tag>")
    parser.add_argument("--set", default="test", help="dev or test (default: %(default)s)")
    parser.add_argument("--folds", default="", type=numbers, help='e.g. "1 2" (default: all there)')
    parser.add_argument("--seeds", default="", type=numbers, help='e.g. "1 2" (default: all there)')
    parser.add_argument("--redo", action="store_true", help="score again what is scored already")
    args = parser.parse_args()
    if not args.exp.is_dir():
        raise SertlError(f"{args.exp}: no such experiment; run stage 6 (train), or check --exp")
    with alone(args.exp / "score", wait=True):
        scores = score_experiment(args.exp, args.set, args.folds, args.seeds, args.redo)
    if scores:
        print(score_table(scores).text(), end="")


if __name__ == "__main__":
    run(main)
