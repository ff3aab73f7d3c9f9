# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 9: aggregate folds and seeds; write RESULTS.md, report.html, results.json and plots/.

All go to exp/<tag>/ and are made anew each time. report.html needs no other file.
"""

import argparse
from pathlib import Path

from sertl.cli import run
from sertl.errors import SertlError
from sertl.lock import alone
from sertl.report.experiment_report import write_report


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exp", required=True, type=Path, help="exp/<tag>, scored by stage 8")
    parser.add_argument("--set", default="test", help="what is reported (default: %(default)s)")
    parser.add_argument(
        "--reference", type=Path, help="conf/reference_results.yaml: published numbers to show"
    )
    parser.add_argument("--command", default="", help="command line to print besides command.txt")
    args = parser.parse_args()
    if not args.exp.is_dir():
        raise SertlError(f"{args.exp}: no such experiment; run stage 6 (train), or check --exp")
    with alone(args.exp / "report", wait=True):
        write_report(args.exp, args.set, args.reference, args.command)


if __name__ == "__main__":
    run(main)
