# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Check this machine: versions, upstreams, GPU, memory, disk, and what is wrong in words.

With --upstream, check a checkpoint instead: that it is what its conf says, on one clip.
Exit status 1 if something is broken that sertl needs.
Example: python -m sertl.bin.doctor --upstream wavlm_large --ckpt /models/wavlm-large
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from sertl.cli import run
from sertl.doctor.examine import examine
from sertl.doctor.finding import NOTE, OK, PROBLEM, WARNING
from sertl.doctor.trial import check_encoder

MARKS = {OK: "ok", NOTE: "note", WARNING: "WARNING", PROBLEM: "PROBLEM"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--upstream", help="a file in conf/upstream, or the path of one")
    parser.add_argument("--ckpt", help="its checkpoint (default: the conf's own)")
    parser.add_argument("--wav", type=Path, help="the clip (default: 3 s of noise)")
    parser.add_argument("--conf-dir", default="conf", help="holds upstream/ (default: %(default)s)")
    args = parser.parse_args()
    if args.upstream is None and (args.ckpt or args.wav):
        parser.error("--ckpt and --wav need --upstream")

    if args.upstream is None:
        found = examine()
    else:
        from sertl.upstream.build import load_conf  # needs torch, which the checks above may miss

        changes = {} if args.ckpt is None else {"ckpt": args.ckpt}
        conf = load_conf(args.upstream, Path(args.conf_dir) / "upstream", changes)
        found = list(check_encoder(conf, args.wav))
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
