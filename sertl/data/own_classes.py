# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Classes of several corpora side by side, named corpus::label: each corpus has a head of its own.

The column utt2corpus says whose classes an utterance has.
"""

from collections.abc import Sequence

CORPUS = "corpus"
MARK = "::"  # between the name of a head and that of a class


def head_names(labels: Sequence[str]) -> list[str]:
    """Names of the heads, in the order of their first class; [] where one head has all classes."""
    if not labels or not all(MARK in label for label in labels):
        return []
    return list(dict.fromkeys(label.split(MARK, 1)[0] for label in labels))


def heads_of(labels: Sequence[str]) -> tuple[int, ...] | None:
    """(C,) the number of each class's head; None where one head has all classes."""
    names = head_names(labels)
    return tuple(names.index(label.split(MARK, 1)[0]) for label in labels) if names else None
