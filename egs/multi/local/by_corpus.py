#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""UA and WA of each corpus of a union, all folds pooled, mean over seeds."""

import argparse
from pathlib import Path

import numpy as np

from sertl.atomic import write_text
from sertl.cli import run
from sertl.config import read_config
from sertl.data.folds import FoldDir
from sertl.data.own_classes import CORPUS
from sertl.errors import SertlError
from sertl.report.tables import Table, percent
from sertl.score import metrics
from sertl.score.records import read_scores


def scores_of(exp: Path, set_name: str) -> Table:
    """A row for each corpus.

    Raises:
        SertlError: If the experiment is not scored.
    """
    data, labels = Path(read_config(exp)["data"]), []
    found: dict[str, dict[int, list[tuple[int, int]]]] = {}
    for one, score in read_scores(exp, set_name).items():
        labels, columns = score["labels"], score["utts"]
        utts = FoldDir(data, one.fold).part(set_name).utts
        for utt, ref, hyp in zip(columns["utt"], columns["ref"], columns["hyp"], strict=True):
            by_seed = found.setdefault(utts[utt].own[CORPUS], {})
            by_seed.setdefault(one.seed, []).append((ref, hyp))
    if not found:
        raise SertlError(f"{exp}: no score_{set_name}.json; run stage 8 (score) first")
    rows = []
    for name, by_seed in sorted(found.items()):
        values = []
        for pairs in by_seed.values():
            matrix = metrics.confusion_matrix(*np.array(pairs).T, len(labels))
            values.append((metrics.ua(matrix), metrics.wa(matrix)))
        ua, wa = np.mean(values, axis=0)
        count = len(next(iter(by_seed.values())))
        rows.append([name, str(count), percent(float(ua)), percent(float(wa))])
    note = "Per cent; predictions of all folds pooled, mean over seeds."
    return Table("", [CORPUS, "utterances", "UA", "WA"], rows, [note])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exp", type=Path, help="exp/<tag>, scored")
    parser.add_argument("--set", default="test", help="default: %(default)s")
    args = parser.parse_args()
    table = scores_of(args.exp, args.set)
    write_text(args.exp / "BY_CORPUS.md", table.markdown())
    print(table.text(), end="")


if __name__ == "__main__":
    run(main)
