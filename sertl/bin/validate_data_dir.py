# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Check data directories and list every problem with file and line; exit status 1 if any."""

import argparse
import sys
from pathlib import Path

from sertl.cli import run
from sertl.data.validate import problems


def main() -> None:
    """Parse the command line and print the problems."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("dirs", type=Path, nargs="+", metavar="DIR", help="data directory")
    parser.add_argument(
        "--allow-pipe",
        action="store_true",
        help="accept shell pipes in wav.scp, for directories that other toolkits will read",
    )
    parser.add_argument("--check-audio", action="store_true", help="also decode every audio file")
    parser.add_argument("--nj", type=int, default=1, help="processes for --check-audio")
    args = parser.parse_args()

    count = 0
    for folder in args.dirs:
        found = problems(folder, args.allow_pipe, args.check_audio, args.nj)
        count += len(found)
        print("\n".join(found) if found else f"{folder}: valid")
    if count:
        sys.exit(f"{count} problem{'s'[: count != 1]} found")


if __name__ == "__main__":
    run(main)
