# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stages 4 and 6: train the teacher, or the phases of a method in order, for folds of one seed.

Finished phases are skipped, an interrupted one goes on where it was saved. Several processes:
torchrun --nproc-per-node 2 -m sertl.bin.train …
"""

import argparse
import os
from contextlib import nullcontext

from sertl.cli import run
from sertl.config import read_config
from sertl.errors import unknown_name
from sertl.lock import alone
from sertl.models.base import MODELS
from sertl.runs import add_run, runs_of
from sertl.stages.cross_fitting import teachers
from sertl.stages.solving import solve_phase
from sertl.stages.training import train_phase
from sertl.train import distributed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_run(parser)
    parser.add_argument(
        "--phase", default="", help="only this one, or teacher (default: all in order)"
    )
    args = parser.parse_args()

    conf = read_config(args.exp)
    phases = {phase["name"]: phase for phase in conf["phases"]}
    if args.phase:
        known = phases | ({"teacher": conf["teacher"]} if "teacher" in conf else {})
        if args.phase not in known:
            raise unknown_name("phase", args.phase, known)
        phases = {args.phase: known[args.phase]}
    if args.phase == "teacher":
        phases = {phase["name"]: phase for phase in teachers(conf)}
    first = os.environ.get("RANK", "0") == "0"
    for one in runs_of(args):
        for name, phase in phases.items():
            stage = solve_phase if MODELS.get(phase["model"]).solved else train_phase
            with alone(one.phase(name), wait=False) if first else nullcontext():
                stage(conf, phase, one, args.ngpu > 0, args.redo)
    distributed.close()


if __name__ == "__main__":
    run(main)
