#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Before stage 0: write corpus.yaml of a table into data/, from the table itself."""

from table_corpus import OPTIONS, read_corpus

from sertl.cli import run
from sertl.data.prepare import describe_command


def main() -> None:
    describe_command(__doc__, read_corpus, OPTIONS)


if __name__ == "__main__":
    run(main)
