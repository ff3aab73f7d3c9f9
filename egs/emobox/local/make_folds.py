#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 2: EmoBox's own folds (protocol official), or sertl's, which hold speakers out (loso)."""

import argparse
from pathlib import Path

from metadata import as_folds, corpus_folder, read_folds

from sertl.cli import run
from sertl.data.corpus import load_corpus
from sertl.data.datadir import read_data_dir
from sertl.data.folds import write_folds
from sertl.data.split import make_folds

OFFICIAL = "official"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus-dir", type=Path, required=True, help="a checkout of EmoBox")
    parser.add_argument("--data", type=Path, required=True, help="data directory, from stage 1")
    parser.add_argument("--conf", type=Path, required=True, help="its corpus.yaml, from stage 1")
    parser.add_argument("--policy", required=True, help="the corpus")
    parser.add_argument("--protocol", default="", help="official (default) or loso")
    parser.add_argument("--out", type=Path, required=True, help="folder for fold1, fold2 …")
    parser.add_argument("--token-type", default="none", help="see sertl.bin.make_folds")
    parser.add_argument("--redo", action="store_true", help="delete the folds and make them afresh")
    args = parser.parse_args()

    data, corpus = read_data_dir(args.data), load_corpus(args.conf, args.policy)
    protocol = args.protocol or OFFICIAL
    if protocol == OFFICIAL:
        folds = as_folds(read_folds(corpus_folder(args.corpus_dir, args.policy), {}), data.utts)
    else:
        folds = make_folds(data, corpus, protocol)
    write_folds(folds, data, corpus, protocol, args.out, args.redo, args.token_type)


if __name__ == "__main__":
    run(main)
