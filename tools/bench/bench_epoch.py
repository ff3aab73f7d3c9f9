# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""An epoch of a probe on dumped features against the same epoch with the upstream in the loop.

Rows: the upstream in the loop; features read from the arks in every epoch; features in memory (the
first epoch, which reads them, is not counted); vectors pooled once, for a method that can. All run
in turn, several rounds, each in a fresh process with all threads, in the real training loop; the
epochs' median is printed.
Goal: at least 20 x. Without --ckpt a HuBERT of base size with random weights is used; Whisper tiny
is the smallest encoder and so the hardest case.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import torch
from hubert_base import save_hubert_base
from machine import CONF_DIR, measure, print_machine, print_table, summary
from train_epochs import make_data

from sertl.stages.dump import dump_feats
from sertl.upstream.build import load_conf

POOLED = "vectors pooled once"
ROWS = {  # row: settings, epochs that do not count
    "upstream in the loop": (["input=wav", "optim_conf.epochs=1"], 0),
    "features from arks": (["data_conf.cache_gib=0.0", "optim_conf.epochs=3"], 0),
    "features in memory": (["data_conf.cache_gib=100.0", "optim_conf.epochs=6"], 1),
    POOLED: (["optim_conf.epochs=20"], 1),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the benchmarks of training."""
    parser.add_argument("--wav-dir", required=True, type=Path, help="e.g. EmoDB's wav folder")
    parser.add_argument("--clips", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--upstream", default="hubert_base", help="default: %(default)s")
    parser.add_argument("--ckpt", default="", help="weights (default: random ones, HuBERT-base)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="all by default"
    )


def prepare(args: argparse.Namespace, folder: str) -> tuple[str, str, float]:
    """Dump the features; return checkpoint, dump and seconds of audio."""
    ckpt = args.ckpt
    if not ckpt:
        ckpt = f"{folder}/hubert_base.pt"
        save_hubert_base(Path(ckpt))
    data = make_data(str(args.wav_dir), args.clips)
    conf = load_conf(args.upstream, CONF_DIR / "upstream", {"ckpt": ckpt})
    dump_feats(data, conf, f"{folder}/dump", nj=args.threads)
    dump_feats(
        data, conf, f"{folder}/pooled", pool=["mean"], normalise=True, frames=f"{folder}/dump"
    )
    return ckpt, f"{folder}/dump", sum(u.dur_sec for u in data.utts.values())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--method", default="probe", help="probe or sap (default: %(default)s)")
    args = parser.parse_args()

    print_machine()
    rows = {r: s for r, s in ROWS.items() if r != POOLED or args.method == "probe"}
    found = {row: [] for row in rows}
    peaks = dict.fromkeys(rows, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        ckpt, dump, audio_sec = prepare(args, folder)
        for _ in range(args.rounds):
            for row, (settings, skipped) in rows.items():
                result = measure(
                    "train_epochs.py",
                    args.threads,
                    upstream=args.upstream,
                    ckpt=ckpt,
                    dump=f"{folder}/pooled" if row == POOLED else dump,
                    method=args.method,
                    settings=settings,
                    wav_dir=str(args.wav_dir),
                    clips=args.clips,
                )
                found[row] += result["sec"][skipped:]
                peaks[row] = max(peaks[row], result["peak_gib"])
    base = statistics.median(found["upstream in the loop"])
    print(f"{args.clips} clips, {audio_sec:.0f} s of audio, {args.upstream}, {args.method}")
    print_table(
        ["an epoch with", "seconds", "speed", "peak memory"],
        [
            [
                row,
                summary(seconds),
                f"{base / statistics.median(seconds):.1f} x",
                f"{peaks[row]:.2f} GiB",
            ]
            for row, seconds in found.items()
        ],
    )


if __name__ == "__main__":
    main()
