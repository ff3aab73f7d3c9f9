# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""For run.sh: exit status 0 if the whole run was finished before from the same inputs, else 3.

With --record, note that it has just ended.
"""

import argparse
import sys
from pathlib import Path

import sertl
from sertl.cli import run
from sertl.finished import is_finished, record


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exp", type=Path, default=Path("exp"), help="folder of all experiments")
    parser.add_argument("--asked", required=True, help="all options, in one text")
    parser.add_argument("--code", nargs="*", type=Path, default=[], help="beside sertl itself")
    parser.add_argument("--record", nargs="*", type=Path, help="folders read or written")
    args = parser.parse_args()
    code = [Path(sertl.__file__).parent, *(p for p in args.code if p.exists())]
    if args.record is not None:
        record(args.exp, args.asked, code, [p for p in args.record if p.exists()])
    elif not is_finished(args.exp, args.asked, code):
        sys.exit(3)


if __name__ == "__main__":
    run(main)
