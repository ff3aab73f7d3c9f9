# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stages 6 to 9 of `linear` against a plain scikit-learn script that makes the same fits.

  egs/emodb/run.sh --corpus-dir C --upstream whisper_tiny_en --ckpt M --method linear --stop-stage 3
  bench_linear.py --recipe egs/emodb --data data --dump dump/whisper_tiny_en.mean-std \\
    -- --upstream whisper_tiny_en --ckpt M

The script standardises, fits LogisticRegression (balanced, its own tolerance) for every layer, both
concatenations, every held-out speaker and C, and then what was chosen; it computes no combination,
no intervals and no report. Both use as many processes as there are cores, one thread each. Rows
run in turn, several rounds.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import HERE, print_machine, print_table, summary

ROOT = HERE.parents[1]


def ours(args: argparse.Namespace, processes: int) -> float:
    """Seconds of stages 6 to 9, from run.sh to the report."""
    command = ["./run.sh", *args.options, "--method", "linear", "--tag", "bench_linear"]
    command += ["--stage", "6", "--redo", "true", "--nj", str(processes)]
    command += ["--folds", " ".join(map(str, folds_of(args)))]
    return timed(command, ROOT / args.recipe)


def theirs(args: argparse.Namespace, processes: int) -> float:
    """Seconds of the script on all folds, dealt out to processes."""
    recipe, begun, running = ROOT / args.recipe, time.monotonic(), []
    for process in range(processes):
        folds = [str(k) for k in folds_of(args)[process::processes]]
        command = [sys.executable, str(HERE / "scikit_learn_fits.py"), args.data, args.dump, *folds]
        running.append(subprocess.Popen(command, cwd=recipe, env=environment()))
    if any(p.wait() for p in running):
        raise SystemExit("scikit_learn_fits.py failed")
    return time.monotonic() - begun


def folds_of(args: argparse.Namespace) -> list[int]:
    """Numbers of the folds that are measured."""
    number = int((ROOT / args.recipe / args.data / "num_folds").read_text())
    return args.folds or list(range(1, number + 1))


def environment() -> dict:
    """One thread a process, and sertl's modules."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def timed(command: list[str], folder: Path) -> float:
    """Seconds that a command takes."""
    begun = time.monotonic()
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return time.monotonic() - begun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", required=True, help="e.g. egs/emodb, after stage 3")
    parser.add_argument("--data", required=True, help="folds, from the recipe's folder")
    parser.add_argument("--dump", required=True, help="vectors, from the recipe's folder")
    parser.add_argument("--folds", type=int, nargs="+", default=[], help="default: all")
    parser.add_argument("--rounds", type=int, default=1, help="default: %(default)s")
    parser.add_argument("options", nargs="*", help="of run.sh, after --")
    args = parser.parse_args()
    print_machine()
    processes = len(os.sched_getaffinity(0))
    found: dict[str, list[float]] = {"sertl, stages 6 to 9": [], "scikit-learn, the fits": []}
    for _ in range(args.rounds):
        for row, measure in zip(found, (ours, theirs), strict=True):
            found[row].append(measure(args, processes))
            print(f"{row}: {found[row][-1]:.1f} s", file=sys.stderr, flush=True)
    base = statistics.median(found["scikit-learn, the fits"])
    print_table(
        ["what", "seconds", "of scikit-learn's"],
        [[r, summary(s), f"{statistics.median(s) / base:.2f} x"] for r, s in found.items()],
    )


if __name__ == "__main__":
    main()
