# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stages 0 to 3 of a large table of clips: time and memory of each.

  bench_prepare.py --wavs FOLDER [--number 100000] [--speakers 500] [--nj 2]

A synthetic table in a folder of its own: entries with a class, a speaker, a gender and words, whose
audio is twenty files of FOLDER, read anew for every entry. Stage 3 pools filterbanks. Memory is
that of the largest process.
"""

import argparse
import os
import random
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from machine import HERE, print_machine, print_table

RECIPE = HERE.parents[1] / "egs/table"
CLASSES, CLIPS = "abcd", 20


def write_table(path: Path, wavs: list[Path], number: int, speakers: int) -> None:
    """Entries with ids of their own."""
    rng = random.Random(0)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("file,emotion,speaker,id,gender,transcript\n")
        for n in range(number):
            spk = n % speakers
            words = (
                f"{wavs[n % len(wavs)]},{rng.choice(CLASSES)},s{spk:05d},u{n:08d},{'mf'[spk % 2]}"
            )
            stream.write(f"{words},some words of utterance {n}\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wavs", type=Path, required=True, help="folder with at least 20 .wav")
    parser.add_argument("--number", type=int, default=100_000, help="entries (%(default)s)")
    parser.add_argument("--speakers", type=int, default=500, help="of them (%(default)s)")
    parser.add_argument("--nj", type=int, default=2, help="processes (%(default)s)")
    args = parser.parse_args()
    wavs = sorted(args.wavs.absolute().glob("*.wav"))[:CLIPS]
    if len(wavs) < CLIPS:
        raise SystemExit(f"{args.wavs}: {len(wavs)} .wav files, {CLIPS} are needed")
    print_machine()
    policy = f"bench{os.getpid()}"
    command = ["./run.sh", "--policy", policy, "--upstream", "fbank", "--method", "linear"]
    command += ["--nj", str(args.nj)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_table(Path(folder) / "t.csv", wavs, args.number, args.speakers)
        command += ["--corpus-dir", folder, "--prepare", "table=t.csv", "utt=id"]
        for stage in "0123":
            begun = time.monotonic()
            done = subprocess.run(
                [*command, "--stage", stage, "--stop-stage", stage],
                cwd=RECIPE, capture_output=True, text=True,
            )  # fmt: skip
            if done.returncode:
                raise SystemExit(done.stderr)
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
            print(f"stage {stage}: {time.monotonic() - begun:.0f} s, {peak:.2f} GiB", flush=True)
            rows.append([stage, f"{time.monotonic() - begun:.0f}", f"{peak:.2f}"])
    for name in (f"data/{policy}", f"dump/{policy}", f"exp/fbank_linear_{policy}"):
        shutil.rmtree(RECIPE / name, ignore_errors=True)
    print_table(["stage", "s", "GiB so far"], rows)


if __name__ == "__main__":
    main()
