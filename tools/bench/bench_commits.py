# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Training by one commit of this repository against another: seconds an epoch, system time.

Each commit in a clone of its own, with its own data directories and dump; then stage 6 of each in
turn, several rounds, as its own run.sh starts it. The first epoch, which may read the disk, is not
counted in seconds an epoch and in waiting; CPU time, its share in the system and page faults are
those of the whole stage.
Goal: an epoch of `sap` at least three times as fast as at 923af76, under 5 % of it waiting for
data, under 10 % of the CPU time in the system.

Example: OMP_NUM_THREADS=1 python tools/bench/bench_commits.py --commits 923af76 HEAD \
           --recipe emodb --run "--corpus-dir /corpora/emodb --upstream whisper_tiny_en \
           --ckpt /models/whisper-tiny.en --method sap --folds 1 --nj 1 \
           --set optim_conf.epochs=8 optim_conf.patience=100"
"""

import argparse
import json
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import print_machine, print_table, summary

ROOT = Path(__file__).resolve().parents[2]
STAGE = ("--stage", "6", "--stop-stage", "6")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--commits", nargs="+", required=True, help="the first one is the baseline")
    parser.add_argument("--recipe", default="emodb", help="folder of egs (%(default)s)")
    parser.add_argument("--run", required=True, help="options of run.sh, with one method")
    parser.add_argument("--rounds", type=int, default=2, help="default: %(default)s")
    args = parser.parse_args()
    print_machine()
    options = shlex.split(args.run)
    found: dict[str, list[dict]] = {commit: [] for commit in args.commits}
    with tempfile.TemporaryDirectory() as folder:
        recipes = {c: clone(c, Path(folder) / c, args.recipe) for c in args.commits}
        for recipe in recipes.values():
            run(recipe, [*options, "--stop-stage", "3"])
        for number in range(args.rounds):
            for commit, recipe in recipes.items():
                tag = f"round{number}"
                used = run(recipe, [*options, *STAGE, "--tag", tag])
                found[commit].append({**used, **epochs(recipe / "exp" / tag)})
                print(f"{commit}: {found[commit][-1]}", file=sys.stderr, flush=True)
    print(f"egs/{args.recipe}/run.sh {args.run}")
    first = statistics.median(s for r in found[args.commits[0]] for s in r["sec"])
    head = ["commit", "an epoch", "times as fast", "waiting", "system time", "page faults"]
    print_table(head, [row(commit, results, first) for commit, results in found.items()])


def clone(commit: str, folder: Path, recipe: str) -> Path:
    """Folder of the recipe in a clone at a commit."""
    for command in (
        ["git", "clone", "--quiet", "--no-checkout", str(ROOT), str(folder)],
        ["git", "-C", str(folder), "checkout", "--quiet", "--detach", parse(commit)],
    ):
        subprocess.run(command, check=True)
    return folder / "egs" / recipe


def parse(commit: str) -> str:
    """Full name of a commit of this repository."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--verify", f"{commit}^{{commit}}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def run(recipe: Path, options: list[str]) -> dict:
    """Run the recipe; what it and its children used."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(["./run.sh", *options], cwd=recipe, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{recipe}/run.sh failed:\n{done.stdout}\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "user": after.ru_utime - before.ru_utime,
        "system": after.ru_stime - before.ru_stime,
        "faults": after.ru_minflt - before.ru_minflt,
    }


def epochs(exp: Path) -> dict:
    """Seconds of each epoch but the first, and how much of them the loop waited for data."""
    logs = sorted(exp.rglob("log.jsonl"))
    if len(logs) != 1:
        raise SystemExit(f"{exp}: {len(logs)} trainings; give one fold, one seed, one phase")
    entries = [json.loads(line) for line in logs[0].read_text().splitlines()]
    later = [entry for entry in entries if entry["kind"] == "train"][1:]
    sec = [entry["sec"] for entry in later]
    return {"sec": sec, "waiting": sum(entry["data_wait_sec"] for entry in later) / sum(sec)}


def row(commit: str, results: list[dict], first: float) -> list[str]:
    """Of the table: the medians over the rounds."""
    sec = [s for r in results for s in r["sec"]]
    middle = {
        key: statistics.median(r[key] for r in results)
        for key in ("waiting", "user", "system", "faults")
    }
    cpu = middle["user"] + middle["system"]
    return [
        commit,
        summary(sec),
        f"{first / statistics.median(sec):.2f}",
        f"{100 * middle['waiting']:.1f} %",
        f"{100 * middle['system'] / cpu:.1f} % of {cpu:.0f} s",
        f"{middle['faults'] / 1e6:.2f} M",
    ]


if __name__ == "__main__":
    main()
