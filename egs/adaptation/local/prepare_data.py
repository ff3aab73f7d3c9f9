#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of a pair: conf/pairs/<policy>.yaml of what other recipes prepared."""

from sertl.cli import run
from sertl.data.pairs import load_pair
from sertl.data.prepare import argument_parser, make_data_dir


def main() -> None:
    args = argument_parser(__doc__).parse_args()
    pair = load_pair(args.conf, args.policy, args.corpus_dir)
    make_data_dir(args, pair.corpus, lambda: pair.utts)


if __name__ == "__main__":
    run(main)
