# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The whole campaign: python tests/campaign/campaign.py damage --cases 5000 | kills --kills 200

Seeded: the same command tries the same. Exit status 1 if anything happened that must not.
"""

import argparse
import logging
import os
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("damage", "kills"))
    parser.add_argument("--cases", type=int, default=5000, help="damaged inputs, over all kinds")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a kind of damaged input")
    parser.add_argument("--case", type=int, default=-1, help="one case of it")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SERTL_CAMPAIGN"] = folder
        if args.what == "kills":
            import kills

            return kills.campaign(Path(folder), args.kills, random.Random(args.seed))
        return damaged(Path(folder), args)


def damaged(folder: Path, args: argparse.Namespace) -> int:
    import damage
    import torch
    from kinds import KINDS

    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    kinds = [k for k in KINDS if args.only in ("", k.name)]
    share = -(-args.cases // len(kinds))
    found = []
    for number, kind in enumerate(kinds):
        cases = range(share) if args.case < 0 else range(args.case, args.case + 1)
        outcomes = damage.run_kind(kind, cases, args.seed, folder / str(number))
        damage.show(outcomes)
        if args.case >= 0:
            for o in outcomes:
                print(o)
        found += outcomes
        print(damage.table(outcomes).split("\n")[1], flush=True)
    print(damage.table(found))
    return int(any(o.result in damage.BAD for o in found))


if __name__ == "__main__":
    sys.exit(main())
