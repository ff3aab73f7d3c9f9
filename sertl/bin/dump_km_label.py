# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Label every frame with its nearest centroid: feats.scp in, int32 arks out.

Example: python -m sertl.bin.dump_km_label --feats dump/x/layer9/feats.scp --codebook codebook
         --train data/fold1/train --data data/fold1/train data/fold1/dev --out labels
"""

import argparse

from sertl.cli import run
from sertl.cluster.codebook import load_codebook
from sertl.cluster.frames import Frames
from sertl.cluster.labelling import dump_labels
from sertl.data.datadir import read_data_dir
from sertl.train import distributed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--feats", required=True, help="feats.scp of float32 matrices")
    parser.add_argument("--codebook", required=True, help="folder made by learn_kmeans")
    parser.add_argument(
        "--train", required=True, help="data directory that the codebook must be learned from"
    )
    parser.add_argument("--data", required=True, nargs="+", help="data directories to label")
    parser.add_argument("--out", required=True, help="<out>.scp and <out>.ark")
    parser.add_argument("--ngpu", default=0, type=int, help="0: CPU (default: %(default)s)")
    args = parser.parse_args()

    codebook = load_codebook(args.codebook)
    codebook.check_ids(read_data_dir(args.train).utts, args.codebook)
    utts = {utt: u for folder in args.data for utt, u in read_data_dir(folder).utts.items()}
    genders = {utt: u.gender for utt, u in utts.items()}
    device = distributed.init(args.ngpu > 0)
    dump_labels(codebook, Frames(args.feats, list(utts)), args.out, genders, device)


if __name__ == "__main__":
    run(main)
