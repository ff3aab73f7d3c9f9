# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Run a module of sertl in several processes, on one machine or several, through torchrun.

Machines: the same command on each, which meet at the first; under srun no option says which.
"""

import argparse
import os

from sertl.cli import run
from sertl.errors import check_count
from sertl.jobs.nodes import Placement, torchrun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # what it does not know is the module's
    )
    parser.add_argument("--nnodes", type=int, default=1, help="machines (default: %(default)s)")
    parser.add_argument("--nproc", type=int, default=1, help="processes on each (default: 1)")
    parser.add_argument("--node-rank", default="", help="this one, from 0 (default: Slurm's)")
    parser.add_argument("--rendezvous", default="", metavar="HOST:PORT", help="of the first one")
    parser.add_argument("--job", type=int, default=0, help="added to the port (default: 0)")
    parser.add_argument("-m", dest="module", required=True, help="module")
    args, words = parser.parse_known_args()
    check_count("--nnodes", args.nnodes)
    check_count("--nproc", args.nproc)
    place = Placement(args.nnodes, args.node_rank, args.rendezvous)
    command = [*torchrun(place, args.nproc, args.job, os.environ), "-m", args.module, *words]
    os.execvp(command[0], command)


if __name__ == "__main__":
    run(main)
