# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Time and memory of reading a data directory of so many utterances, made for it.

bench_read_tables.py [--number 10000000] [--speakers 5000]     ten million: 2 GB of disk
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from machine import print_machine

READ = """
import resource, sys, time
from sertl.data.datadir import read_data_dir
begun = time.monotonic()
data = read_data_dir(sys.argv[1])
sec = time.monotonic() - begun
held = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**30
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"{len(data.utts)} utterances: {sec:.1f} s, at most {peak:.2f} GiB, {held:.2f} stay")
"""


def write_tables(folder: Path, number: int, speakers: int) -> None:
    """Tables in order, without an object for each utterance."""
    each = number // speakers

    def table(name: str, value: Callable[[int, str], str]) -> None:
        with open(folder / name, "w", encoding="utf-8") as stream:
            for n in range(each * speakers):
                spk = f"s{n // each:05d}"
                stream.write(f"{spk}-u{n:08d} {value(n, spk)}\n")

    table("wav.scp", lambda n, spk: f"/corpora/some/folder/of/speaker/{spk}/u{n:08d}.wav")
    table("utt2spk", lambda n, spk: spk)
    table("utt2dur", lambda n, spk: str(1 + n % 7 / 10))
    table("utt2emo", lambda n, spk: "abcd"[n % 4])
    table("text", lambda n, spk: f"some words of utterance {n}")
    (folder / "labels").write_text("a\nb\nc\nd\n")
    with open(folder / "spk2utt", "w", encoding="utf-8") as stream:
        for s in range(speakers):
            ids = " ".join(f"s{s:05d}-u{n:08d}" for n in range(s * each, (s + 1) * each))
            stream.write(f"s{s:05d} {ids}\n")
    genders = "".join(f"s{s:05d} {'mf'[s % 2]}\n" for s in range(speakers))
    (folder / "spk2gender").write_text(genders)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=10_000_000, help="utterances (%(default)s)")
    parser.add_argument("--speakers", type=int, default=5000, help="of them (%(default)s)")
    args = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        write_tables(Path(folder), args.number, args.speakers)
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        subprocess.run([sys.executable, "-c", READ, folder], check=True, env=env)


if __name__ == "__main__":
    main()
