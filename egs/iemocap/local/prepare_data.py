#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of IEMOCAP: labels, speakers, gender, style, text, V/A/D, sessions."""

from iemocap import read_iemocap

from sertl.cli import run
from sertl.data.corpus import load_corpus
from sertl.data.prepare import argument_parser, prepare


def main() -> None:
    args = argument_parser(__doc__).parse_args()
    prepare(
        load_corpus(args.conf, args.policy),
        read_iemocap(args.corpus_dir, args.allow_subset),
        args.out,
        args.allow_subset,
        args.redo,
        args.nj,
        args.check_only,
    )


if __name__ == "__main__":
    run(main)
