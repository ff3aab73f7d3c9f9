# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What it costs to hand out jobs that do nothing, on this machine and through Slurm.

  bench_jobs.py [--number 100] [--slots 2] [--clusters local slurm]

A Slurm must run for the latter: tools/local_slurm.sh.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import print_machine, print_table

from sertl.jobs.job import Job, write_jobs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=100, help="jobs (%(default)s)")
    parser.add_argument("--slots", type=int, default=2, help="side by side, local (%(default)s)")
    parser.add_argument("--clusters", nargs="+", default=["local"], help="local, slurm")
    args = parser.parse_args()
    print_machine()
    rows = []
    for cluster in args.clusters:
        with tempfile.TemporaryDirectory() as folder:
            jobs = [
                Job("train", ("true",), folder, f"{n}.log", "exp/t", 1, (n,))
                for n in range(args.number)
            ]
            path = Path(folder) / "jobs.jsonl"
            write_jobs(path, jobs)
            begun = time.monotonic()
            command = [sys.executable, "-m", "sertl.bin.run_jobs", "--jobs", str(path)]
            command += ["--nj", str(args.slots), "--cluster", cluster]
            if cluster == "slurm":
                command += ["--cluster-set", "poll=1"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
            sec = time.monotonic() - begun
        rows.append([cluster, str(args.number), f"{sec:.1f}", f"{1000 * sec / args.number:.0f}"])
    print_table(["cluster", "jobs", "s", "ms a job"], rows)


if __name__ == "__main__":
    main()
