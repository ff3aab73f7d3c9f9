# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Whisper on a clip's own frames against the same encoder on 30 s of padded input.

Both rows are the whole dump (read, encode, compress, write all layers), run in turn, several
rounds, each in a fresh process; medians are printed. Loading is not timed.
Goal: at least 5 x on clips of a few seconds. Whether a probe on them is as good is for
egs/emodb to show: --set upstream.pad_to_30s=true.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from dump_clips import find_clips
from machine import CONF_DIR, measure, print_machine, print_table, summary

from sertl.stages.dump import BATCH_SEC
from sertl.upstream.build import load_conf


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wav-dir", required=True, type=Path, help="e.g. EmoDB's wav folder")
    parser.add_argument("--ckpt", required=True, help="folder of whisper-tiny.en")
    parser.add_argument("--upstream", default="whisper_tiny_en", help="default: %(default)s")
    parser.add_argument("--clips", type=int, default=60, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--nj", type=int, default=2, help="processes of the dump (default: 2)")
    parser.add_argument(
        "--batch-sec", type=float, default=BATCH_SEC["cpu"], help="default: %(default)s"
    )
    args = parser.parse_args()

    print_machine()
    rows = {"padded to 30 s": True, "own frames": False}
    found = {row: [] for row in rows}
    with tempfile.TemporaryDirectory() as out:
        for _ in range(args.rounds):
            for row, pad_to_30s in rows.items():
                changes = {"ckpt": args.ckpt, "pad_to_30s": pad_to_30s}
                conf = load_conf(args.upstream, CONF_DIR / "upstream", changes)
                result = measure(
                    "dump_clips.py",
                    row=row,
                    wav_dir=str(args.wav_dir),
                    clips=args.clips,
                    conf=conf,
                    out=f"{out}/{pad_to_30s}",
                    nj=args.nj,
                    batch_sec=args.batch_sec,
                )
                found[row].append(result)
    seconds = {row: [r["sec"] for r in results] for row, results in found.items()}
    base = statistics.median(seconds["padded to 30 s"])
    audio = found["own frames"][0]["audio_sec"]
    print(f"{len(find_clips(args.wav_dir, args.clips))} clips, {audio:.0f} s of audio")
    print_table(
        ["", "seconds", "speed", "peak memory"],
        [
            [
                row,
                summary(seconds[row]),
                f"{base / statistics.median(seconds[row]):.2f} x",
                f"{max(r['peak_gib'] for r in results):.2f} GiB",
            ]
            for row, results in found.items()
        ],
    )


if __name__ == "__main__":
    main()
