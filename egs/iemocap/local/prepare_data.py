#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of IEMOCAP: labels, speakers, gender, style, text, V/A/D, sessions."""

from iemocap import read_iemocap

from sertl.cli import run
from sertl.data.prepare import prepare_command


def main() -> None:
    prepare_command(__doc__, lambda args: read_iemocap(args.corpus_dir, args.allow_subset))


if __name__ == "__main__":
    run(main)
