# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stages 4 to 7: a job for each fold of each seed, on this machine or on a cluster.

run.sh calls it for one experiment, tools/grid.sh with a list of the jobs of many (--jobs).
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from sertl.cli import run
from sertl.errors import SertlError
from sertl.jobs.board import StageBoard
from sertl.jobs.experiment_jobs import Asked, jobs_of
from sertl.jobs.job import Job, read_jobs, write_jobs
from sertl.jobs.local_slots import LocalSlots
from sertl.jobs.nodes import Placement
from sertl.jobs.schedule import Backend, run_jobs
from sertl.jobs.slurm_queue import SlurmQueue
from sertl.shard import Shard
from sertl.use.opening import numbers

CLUSTERS = ("local", "slurm")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exp", type=Path, help="exp/<tag>, with config.yaml")
    parser.add_argument("--jobs", type=Path, help="a list of jobs, instead of an experiment")
    parser.add_argument("--list", type=Path, metavar="FILE", help="add the jobs to it; run nothing")
    parser.add_argument("--stages", default="4 5 6 7", help="some of 4 to 7 (default: all)")
    parser.add_argument("--seeds", default="1", help='as in "1 2 3" (default: %(default)s)')
    parser.add_argument("--folds", default="", help="numbers of folds")
    parser.add_argument("--sets", nargs="+", default=["test", "dev"], help="what stage 7 decodes")
    parser.add_argument("--phase", default="", help="stage 6 trains this one alone")
    parser.add_argument("--nj", type=int, default=1, help="processes side by side")
    parser.add_argument("--ngpu", type=int, default=0, help="cards of a training; 0: CPU")
    parser.add_argument("--nnodes", type=int, default=1, help="machines of a training")
    parser.add_argument("--node-rank", default="", help="which one this is (default: Slurm's)")
    parser.add_argument("--rendezvous", default="", metavar="HOST:PORT", help="where they meet")
    parser.add_argument("--shard", default="", metavar="I/N", help="of all folds and seeds")
    parser.add_argument("--redo", action="store_true", help="delete what is there")
    parser.add_argument("--cluster", default="local", choices=CLUSTERS, help="where they run")
    parser.add_argument("--cluster-set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--parent", type=int, metavar="PID", help="end all jobs when it is gone")
    args = parser.parse_args()

    if (args.exp is None) == (args.jobs is None):
        raise SertlError("give either --exp or --jobs")
    jobs = read_jobs(args.jobs) if args.jobs else jobs_of(_asked(args))
    if args.list is not None:
        write_jobs(args.list, jobs)
        return
    folder = args.jobs.with_suffix(".slurm") if args.jobs else args.exp / "slurm"
    if not jobs:
        return
    bad = run_jobs(jobs, backend_of(args, folder, jobs), StageBoard(jobs), args.parent)
    if bad:
        raise SertlError(f"{len(bad)} of {len(jobs)} jobs failed or were skipped")


def _asked(args: argparse.Namespace) -> Asked:
    place = Placement(args.nnodes, args.node_rank, args.rendezvous)
    stages, seeds = numbers(args.stages, "--stages"), numbers(args.seeds, "--seeds")
    return Asked(
        args.exp, stages, seeds, numbers(args.folds, "--folds"), args.sets, args.phase,
        args.nj, args.ngpu, place, Shard.parse(args.shard), args.redo,
    )  # fmt: skip


def backend_of(args: argparse.Namespace, folder: Path, jobs: Sequence[Job]) -> Backend:
    """The backend that options ask for, with submitit's files in folder."""
    settings = cluster_settings(args.cluster_set)
    if args.cluster == "slurm":
        return SlurmQueue(folder, settings)
    # Several with GPUs, or at several machines, side by side would share cards, or miss each other.
    alone = any(job.gpus or job.nodes > 1 for job in jobs)
    return LocalSlots(1 if alone else args.nj)


def cluster_settings(words: list[str]) -> Mapping[str, str]:
    """key=value …, the last of a key counts.

    Raises:
        SertlError: For a word that is none.
    """
    for word in words:
        if "=" not in word or not word.partition("=")[0]:
            raise SertlError(f"--cluster-set {word}: expected key=value, as in partition=gpu")
    return dict(word.split("=", 1) for word in words)


if __name__ == "__main__":
    run(main)
