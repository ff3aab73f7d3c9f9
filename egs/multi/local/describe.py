#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Before stage 0: write corpus.yaml of a union (--policy) into data/."""

from several import OPTIONS, read_corpus

from sertl.cli import run
from sertl.data.prepare import parse_arguments
from sertl.yaml_text import save_yaml


def main() -> None:
    args = parse_arguments(__doc__, OPTIONS)
    conf, _ = read_corpus(args)
    conf = {**conf, "policies": {args.policy: {}}, "default_policy": args.policy}
    args.conf.parent.mkdir(parents=True, exist_ok=True)
    save_yaml(args.conf, conf)


if __name__ == "__main__":
    run(main)
