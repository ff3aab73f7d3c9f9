# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Check this machine: versions, upstreams, GPU, memory, disk, and what is wrong in words.

Exit status 1 if something is broken that sertl needs.
"""

import argparse
import json
import sys
from dataclasses import asdict

from sertl.cli import run
from sertl.doctor.examine import examine
from sertl.doctor.finding import NOTE, OK, PROBLEM, WARNING

MARKS = {OK: "ok", NOTE: "note", WARNING: "WARNING", PROBLEM: "PROBLEM"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    args = parser.parse_args()

    found = examine()
    problems = [f for f in found if f.level == PROBLEM]
    if args.json:
        print(json.dumps([asdict(f) for f in found], indent=1, ensure_ascii=False))
    else:
        for f in found:
            print(f"{MARKS[f.level]:8} {f.topic}: {f.text}")
        print()
        for f in problems:
            print(f"wrong: {f.topic}: {f.text}")
        warned = sum(f.level == WARNING for f in found)
        print(f"problems: {len(problems)}, warnings: {warned}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    run(main)
