# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""K-means on frames: learning and labelling time, peak memory, inertia, against scikit-learn alone.

scikit-learn's MiniBatchKMeans gets all frames in memory, and reading them there is a column of its
own; sertl reads the arks as it learns and labels, in bounded memory. Both have the same mini-batch
and number of k-means++ starts. faiss's k-means (no mini-batches) is a third row if it is installed.
Frames are drawn around random centres, as many as the largest K; or real ones, with --feats.
Goals: learning no slower than scikit-learn, labelling (reading included) at least twice as fast as
its predict, memory independent of the number of frames.

Example: python tools/bench/bench_kmeans.py --frames 20000 --clusters 50
"""

import argparse
import importlib.util
import tempfile
from pathlib import Path

import numpy as np
import torch
from machine import measure, print_machine, print_table, summary

from sertl.data.ark import ArkWriter

FRAMES_PER_UTT = 225  # 4.5 s
ROWS = ("scikit-learn", "sertl")


def write_frames(prefix: Path, frames: int, size: int, centres: int) -> None:
    """An ark of utterances of FRAMES_PER_UTT frames, 16 bits a value as stage 5 has them."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(centres, size)).astype(np.float32)
    with ArkWriter(prefix) as writer:
        for number in range(-(-frames // FRAMES_PER_UTT)):
            count = min(FRAMES_PER_UTT, frames - number * FRAMES_PER_UTT)
            own = means[rng.integers(centres, size=count)]
            writer.write(f"u{number:06d}", own + rng.normal(size=own.shape).astype(np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--feats", default=None, help="feats.scp of dumped frames to take instead")
    parser.add_argument("--size", type=int, default=768, help="dimensions (default: %(default)s)")
    parser.add_argument("--clusters", type=int, nargs="+", default=[500, 2000], help="K")
    parser.add_argument("--restarts", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--label-only", action="store_true", help="with frames as centroids")
    parser.add_argument("--folder", default=None, help="for the ark: 1.5 GB for a million frames")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="all by default"
    )
    args = parser.parse_args()

    print_machine()
    rows = [*ROWS, *(["faiss"] if importlib.util.find_spec("faiss") else [])]
    what = args.feats or f"{args.frames} frames of {args.size}"
    print(f"{what}, {args.restarts} starts, {args.threads} threads\n")
    table = []
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        scp = args.feats or f"{folder}/feats.scp"
        if not args.feats:
            write_frames(Path(folder) / "feats", args.frames, args.size, max(args.clusters))
        for clusters in args.clusters:
            found: dict[str, list[dict]] = {row: [] for row in rows}
            for _ in range(args.rounds):
                for row in rows:
                    result = measure(
                        "kmeans_once.py",
                        args.threads,
                        row=row,
                        scp=scp,
                        clusters=clusters,
                        restarts=args.restarts,
                        learn=not args.label_only,
                    )
                    found[row].append(result)
            for row, results in found.items():
                table.append(
                    [
                        clusters,
                        row,
                        summary([r["read_sec"] for r in results]),
                        "-" if args.label_only else summary([r["learn_sec"] for r in results]),
                        summary([r["label_sec"] for r in results]),
                        f"{max(r['peak_gib'] for r in results):.2f} GiB",
                        f"{results[-1]['inertia']:.2f}",
                    ]
                )
    head = ["K", "", "reading", "learning", "labelling", "peak memory", "inertia per frame"]
    print_table(head, table)


if __name__ == "__main__":
    main()
