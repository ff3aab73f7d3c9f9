# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What tools/grid.sh runs: of each cell folder, tag, number of options and these, each with \\0."""

import argparse
import shlex
import sys
from pathlib import Path

from sertl.cli import run
from sertl.errors import SertlError
from sertl.jobs.cells import Choice, cells_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--egs", type=Path, required=True, help="folder of the recipes")
    parser.add_argument("--name", required=True, help="beginning of all tags")
    for what in ("corpus", "upstream", "method"):
        parser.add_argument(f"--{what}", nargs="*", default=[], metavar="CHOICE")
    parser.add_argument("--options", default="", help="of every cell's run.sh, quoted")
    args = parser.parse_args()
    if not args.name or "/" in args.name:
        raise SertlError("--name: a word, with which all tags begin")
    choices = []
    for what in ("corpus", "upstream", "method"):
        texts = getattr(args, what)
        if not texts:
            raise SertlError(f"--{what}: at least one")
        choices.append([Choice.parse(text, what) for text in texts])
    try:
        common = shlex.split(args.options)
    except ValueError as error:
        raise SertlError(f"--options {args.options!r}: {error}") from error
    for cell in cells_of(args.egs, args.name, *choices, common):
        words = (str(cell.folder), cell.tag, str(len(cell.options)), *cell.options)
        sys.stdout.write("".join(word + "\0" for word in words))


if __name__ == "__main__":
    run(main)
