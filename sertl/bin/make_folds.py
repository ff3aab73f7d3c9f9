# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 2: split a data directory into folds under a protocol."""

import argparse
from pathlib import Path

from sertl.cli import run
from sertl.data.corpus import PROTOCOLS, load_corpus
from sertl.data.datadir import read_data_dir
from sertl.data.folds import make_folds, write_folds
from sertl.lock import alone


def main() -> None:
    """Parse the command line and write the folds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data/all"), help="data directory")
    parser.add_argument("--conf", type=Path, default=Path("conf/corpus.yaml"))
    parser.add_argument("--policy", help="label policy, as in stage 1; none: the default of --conf")
    parser.add_argument("--protocol", help=f"{', '.join(PROTOCOLS)}; none: the default of --conf")
    parser.add_argument("--out", type=Path, default=Path("data"), help="folder for fold1, fold2 …")
    parser.add_argument("--seed", type=int, default=0, help="of the random dev part of superb")
    parser.add_argument(
        "--token-type",
        choices=("char", "bpe", "unigram", "none"),
        default="char",
        help="tokenizer learned on the training text of each fold, if there is text",
    )
    parser.add_argument("--bpe-size", type=int, default=200, help="tokens of bpe and unigram")
    parser.add_argument("--redo", action="store_true", help="delete the folds and make them afresh")
    args = parser.parse_args()

    corpus = load_corpus(args.conf, args.policy)
    data = read_data_dir(args.data)
    protocol = args.protocol or corpus.protocol
    with alone(args.out / "folds", wait=True):
        write_folds(
            make_folds(data, corpus, protocol, args.seed),
            data,
            corpus,
            protocol,
            args.out,
            redo=args.redo,
            token_type=args.token_type,
            bpe_size=args.bpe_size,
            seed=args.seed,
        )


if __name__ == "__main__":
    run(main)
