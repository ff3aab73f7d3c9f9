# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A corpus.yaml for data that nobody has described: classes, folds and warnings from the data.

What is made here is a start to be read and corrected, not a substitute for knowing a corpus; what
was assumed is in its notes, which every result carries.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from sertl.data.datadir import Utterance
from sertl.errors import SertlError

logger = logging.getLogger(__name__)

MOST_FOLDS = 10  # speakers that are left out one at a time; more are put into groups
GROUPS = 5
LEAST_CLASS = 2  # utterances


def deal_groups(utts: Sequence[Utterance], groups: int = 0) -> tuple[list[Utterance], str]:
    """Give speakers to groups that folds leave out, where there are too many to leave out each.

    The speakers with most clips come first, each to the group with the fewest clips so far.

    Args:
        utts: With speakers.
        groups: How many; 0: none up to MOST_FOLDS speakers, else GROUPS.

    Returns:
        Utterances, with `session` their group if there are groups, and a note for the results.

    Raises:
        SertlError: Fewer than three speakers or groups, of which a fold leaves out two.
    """
    clips = Counter(u.spk for u in utts)
    if not groups and len(clips) > MOST_FOLDS:
        groups = GROUPS
    if min(groups or len(clips), len(clips)) < 3:
        raise SertlError(
            f"{len(clips)} speakers in {groups or len(clips)} groups; folds that leave speakers "
            "out need three. Name the column of the speakers (spk=…), or one of parts (part=…)"
        )
    if not groups:
        return list(utts), ""
    size = [0] * groups
    group_of = {}
    for spk, count in sorted(clips.items(), key=lambda item: (-item[1], item[0])):
        group = min(range(groups), key=lambda g: (size[g], g))
        group_of[spk] = f"group{group + 1:02d}"
        size[group] += count
    note = f"{len(clips)} speakers in {groups} groups of about equal size, left out in turn"
    return [replace(u, session=group_of[u.spk]) for u in utts], note


def _with_dev(utts: Sequence[Utterance]) -> list[Utterance]:
    """A tenth of the training speakers, or one, is moved to dev."""
    training = [u for u in utts if u.part == "train"]
    clips = Counter(u.spk for u in training)
    if len(clips) < 2:
        raise SertlError(
            "parts, but none of them dev, and no second training speaker to make one of"
        )
    wanted, chosen = max(1, len(training) // 10), set()
    for spk, count in sorted(clips.items(), key=lambda item: (item[1], item[0])):
        if wanted <= 0 or len(chosen) == len(clips) - 1:
            break
        chosen.add(spk)
        wanted -= count
    return [replace(u, part="dev") if u.part == "train" and u.spk in chosen else u for u in utts]


def _folds(
    utts: list[Utterance], drop: Sequence[str], groups: int, notes: list[str]
) -> tuple[list[Utterance], list[Utterance], dict]:
    """All utterances and those with a class, and the keys of corpus.yaml about folds; see describe.

    What a reader has to know is added to notes.
    """
    folds = {"group_by": "spk", "protocol": "loso", "shared_speakers": False}
    known = [u for u in utts if u.emo not in (None, *drop)]
    if all(u.part for u in known):
        folds["protocol"] = "official"
        if not any(u.part == "dev" for u in known):
            utts, known = _with_dev(utts), _with_dev(known)
            notes.append("no dev part in the table: a tenth of the training speakers is dev")
        parts = {p: {u.spk for u in known if u.part == p} for p in ("train", "dev", "test")}
        both = parts["test"] & (parts["train"] | parts["dev"]) | parts["dev"] & parts["train"]
        if both:
            folds["shared_speakers"] = True
            notes.append(f"{len(both)} speakers are in two parts: no result about new speakers")
    elif all(u.session for u in known):
        folds["group_by"] = "session"
    else:
        utts, note = deal_groups(utts, groups)
        if note:
            folds["group_by"] = "session"
            notes.append(note)
    return utts, known, folds


def describe(
    utts: Sequence[Utterance],
    name: str,
    release: str,
    drop: Sequence[str] = (),
    merge: dict[str, str] | None = None,
    groups: int = 0,
    notes: Sequence[str] = (),
) -> tuple[dict, list[Utterance]]:
    """corpus.yaml of some utterances, and the utterances as folds need them.

    Parts (train, dev, test) are the folds where all utterances have one; else sessions, where all
    have one; else speakers, or groups of them (deal_groups).

    Args:
        utts: As they were read.
        name, release: As in corpus.yaml.
        drop: Labels to leave out.
        merge: Label to class.
        groups: Of speakers.
        notes: Further words for the results.

    Raises:
        SertlError: Fewer than two classes, labels to drop or merge that do not occur, or too few
            speakers.
    """
    utts, notes, merge = list(utts), list(notes), merge or {}
    counts = Counter(u.emo for u in utts if u.emo is not None)
    for label in [*drop, *merge]:
        if label not in counts:
            raise SertlError(f"label {label!r} does not occur; there are {', '.join(counts)}")
    labels = sorted({merge.get(label, label) for label in counts} - set(drop))
    if len(labels) < 2:
        raise SertlError(f"{len(labels)} classes; expected two: {', '.join(map(str, counts))}")
    kept = Counter(merge.get(u.emo, u.emo) for u in utts if u.emo not in (None, *drop))
    for label, count in kept.items():
        if count < LEAST_CLASS:
            logger.warning("class %s has a single utterance; drop=%s leaves it out", label, label)
    utts, known, folds = _folds(utts, drop, groups, notes)
    vad = [u.vad for u in known if u.vad is not None]
    values = [x for three in vad for x in three]
    varied = bool(values) and min(values) < max(values)
    spread = {"vad_range": [min(values), max(values)]} if varied else {}
    conf = {
        "name": name,
        "release": release,
        "language": "not said",
        "licence": "not said",
        "cite": "not said",
        "labels": labels,
        "merge": merge,
        "drop": list(drop),
        **folds,
        **spread,
        "notes": "; ".join(notes) or "described from its table",
        "expected": {"all": {label: kept[label] for label in labels}},
    }
    return conf, utts
