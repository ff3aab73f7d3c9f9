#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make the data directory of a union (--policy) of what other recipes prepared."""

from several import OPTIONS, read_corpus

from sertl.cli import run
from sertl.data.prepare import prepare_command


def main() -> None:
    prepare_command(__doc__, lambda args: read_corpus(args)[1], OPTIONS)


if __name__ == "__main__":
    run(main)
