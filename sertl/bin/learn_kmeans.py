# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Learn a codebook from the frames of a feats.scp with mini-batch k-means, in bounded memory.

Example: python -m sertl.bin.learn_kmeans --feats dump/x/layer9/feats.scp --data data/fold1/train
         --clusters 512 --out codebook
"""

import argparse

from sertl.cli import run
from sertl.cluster.codebook import save_codebook
from sertl.cluster.frames import Frames
from sertl.cluster.learning import learn_codebook
from sertl.data.datadir import read_data_dir
from sertl.train import distributed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--feats", required=True, help="feats.scp of float32 matrices")
    parser.add_argument("--data", required=True, help="data directory: a fold's training set")
    parser.add_argument("--clusters", required=True, type=int, help="K")
    parser.add_argument("--out", required=True, help="folder of the codebook")
    parser.add_argument("--per-gender", action="store_true", help="K/2 clusters for each gender")
    parser.add_argument("--batch-frames", default=10_000, type=int, help="default: %(default)s")
    parser.add_argument(
        "--restarts", default=20, type=int, help="k-means++ starts (default: %(default)s)"
    )
    parser.add_argument("--passes", default=100, type=int, help="at most (default: %(default)s)")
    parser.add_argument("--seed", default=1, type=int, help="default: %(default)s")
    parser.add_argument("--ngpu", default=0, type=int, help="0: CPU (default: %(default)s)")
    args = parser.parse_args()

    utts = read_data_dir(args.data).utts
    genders = {utt: u.gender for utt, u in utts.items()} if args.per_gender else None
    codebook = learn_codebook(
        Frames(args.feats, list(utts)),
        args.clusters,
        args.seed,
        genders,
        distributed.init(args.ngpu > 0),
        batch_frames=args.batch_frames,
        restarts=args.restarts,
        passes=args.passes,
    )
    save_codebook(args.out, codebook)


if __name__ == "__main__":
    run(main)
