# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Labels of one corpus to the classes of another, or of several together."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sertl.data.datadir import Utterance
from sertl.errors import SertlError, unknown_name

LabelMap = Mapping[str, str | None]  # None: dropped


def check_map(where: str, table: LabelMap, known: Sequence[str], classes: Sequence[str]) -> None:
    """Refuse a map that does not send every label to a class, or to nothing.

    Args:
        where: File and key, for messages.
        table: Label to class.
        known: Labels of the corpus.
        classes: What they may become.

    Raises:
        SertlError: Unknown labels or classes, with the nearest; labels left out.
    """
    for label, to in table.items():
        if label not in known:
            raise unknown_name(f"label in {where}", label, known)
        if to is not None and to not in classes:
            raise unknown_name(f"class in {where}: {label} ->", to, classes)
    if missing := [label for label in known if label not in table]:
        raise SertlError(
            f"{where} says nothing of {', '.join(missing)}; give the class of each, one of "
            f"{', '.join(classes)}, or null to drop it"
        )


def mapped(utts: Iterable[Utterance], table: LabelMap) -> tuple[list[Utterance], Counter[str]]:
    """The utterances that have a class, with it; and how many of each label have none."""
    kept, dropped = [], Counter()
    for utt in utts:
        to = table.get(utt.emo)
        if to:
            kept.append(replace(utt, emo=to))
        else:
            dropped[utt.emo or "none"] += 1
    return kept, dropped
