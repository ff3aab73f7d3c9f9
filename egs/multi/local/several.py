# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What --prepare may say of a union, and how it is read."""

import argparse
from pathlib import Path

from sertl.data.datadir import Utterance
from sertl.data.own_classes import CORPUS
from sertl.data.prepare import groups_of
from sertl.data.union import ONE, load_union
from sertl.errors import SertlError

OPTIONS = {
    "by": "what a fold leaves out: corpus (default) or speakers, a group of every corpus",
    "groups": "how many groups of speakers (default: 5)",
    "heads": "one head for all corpora (default), or own: each its own classes, with by=speakers",
}


def read_corpus(args: argparse.Namespace) -> tuple[dict, list[Utterance]]:
    """Description and utterances of the union that --policy names."""
    if not args.policy:
        raise SertlError("--policy chooses the union, a file in conf/unions")
    by = args.prepare.get("by", CORPUS)
    groups, heads = groups_of(args.prepare, 5), args.prepare.get("heads", ONE)
    return load_union(Path("conf/unions"), args.policy, args.corpus_dir, by, groups, heads)
