#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 2: folds of the target, each with a training, dev and test part of the source."""

import argparse
from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import read_data_dir
from sertl.data.folds import write_folds
from sertl.data.pair_folds import make_pair_folds
from sertl.data.pairs import load_pair


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus-dir", type=Path, required=True, help="folder of the recipes")
    parser.add_argument("--data", type=Path, required=True, help="data directory, from stage 1")
    parser.add_argument("--conf", type=Path, default=Path("conf/pairs"), help="folder of the pairs")
    parser.add_argument("--policy", required=True, help="the pair: a file there, without .yaml")
    parser.add_argument("--protocol", default="", help="of the target; none: the pair's")
    parser.add_argument("--out", type=Path, required=True, help="folder for fold1, fold2 …")
    parser.add_argument("--token-type", default="none", help="see sertl.bin.make_folds")
    parser.add_argument("--redo", action="store_true", help="delete the folds and make them afresh")
    args = parser.parse_args()

    pair = load_pair(args.conf, args.policy, args.corpus_dir)
    data = read_data_dir(args.data)
    folds = make_pair_folds(pair, data, args.protocol)
    protocol = args.protocol or pair.target.protocol
    write_folds(folds, data, pair.corpus, protocol, args.out, args.redo, args.token_type)


if __name__ == "__main__":
    run(main)
