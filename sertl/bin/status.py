# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""How far experiments are: done, running, stopped, best dev so far, time left.

sertl status exp/whisper_tiny_en_linear
sertl status exp                           # all experiments in there
sertl status exp/a exp/b --watch 30        # again every 30 s, until nothing runs
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from sertl.cli import run
from sertl.errors import SertlError
from sertl.report.status import RUNNING, experiment_status, status_table
from sertl.use.opening import numbers


def experiments(paths: Sequence[Path]) -> list[Path]:
    """What paths mean: experiments, or folders with some; files beside them, as tables, are none.

    Raises:
        SertlError: No experiment at all.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(file.parent for file in path.glob("*/config.yaml"))
        if (path / "config.yaml").is_file() or not (inside or path.is_file()):
            found.append(path)  # if it is none, its own message says so
        else:
            found += inside
    if not found:
        raise SertlError(f"{', '.join(map(str, paths))}: no experiment, expected exp/<tag>, or exp")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("exp", nargs="+", type=Path, metavar="EXP", help="exp/<tag>, or exp")
    parser.add_argument("--seeds", default="", help='that are to come too, as in "1 2 3"')
    parser.add_argument("--folds", default="", help="that are to come (default: all of the data)")
    parser.add_argument("--watch", type=float, default=0.0, metavar="SEC", help="look again")
    args = parser.parse_args()
    if args.watch < 0:
        raise SertlError(f"--watch {args.watch}: seconds, above 0")
    seeds, folds = numbers(args.seeds, "--seeds"), numbers(args.folds, "--folds")
    while True:
        running = False
        for exp in experiments(args.exp):
            found = experiment_status(exp, seeds, folds)
            running |= any(one.state == RUNNING for own in found.values() for one in own)
            print(f"{exp}\n{status_table(exp, found).text()}", flush=True)
        if not args.watch or not running:
            break
        time.sleep(args.watch)


if __name__ == "__main__":
    run(main)
