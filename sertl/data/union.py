# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Several corpora as one: their labels mapped to common classes, their speakers told apart.

A union file names the data of other recipes and what each label becomes:

    labels: [anger, neutral]
    corpora:
      emodb: {recipe: emodb, map: {anger: anger, neutral: neutral, boredom: null, …}}
      nemo: {recipe: nemo, data: data/nemo30/all, policy: nemo30, map: {…}}

Folds leave out one corpus each, or one group of speakers of every corpus.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sertl.data.corpus import ALL
from sertl.data.datadir import Utterance
from sertl.data.described import deal_groups
from sertl.data.label_map import check_map, mapped
from sertl.data.own_classes import CORPUS, MARK
from sertl.data.pairs import Side, read_side
from sertl.errors import SertlError, unknown_name
from sertl.schema.corpus_keys import UnionFile
from sertl.schema.strict import checked
from sertl.yaml_text import load_yaml

SPEAKERS = "speakers"  # or CORPUS: what folds leave out
ONE, OWN = "one", "own"  # head for all corpora, or for each
FEWEST = 2


def load_union(
    folder: str | os.PathLike,
    name: str,
    recipes: str | os.PathLike,
    by: str,
    groups: int = 5,
    heads: str = ONE,
) -> tuple[dict, list[Utterance]]:
    """Read a union and the data that it names.

    Args:
        folder: conf/unions.
        name: A file in it, without .yaml.
        recipes: Folder of the recipes whose data are joined.
        by: corpus: a fold leaves one corpus out, and dev is the next one (two corpora: no dev);
            speakers: a fold leaves out a group of speakers of every corpus.
        groups: How many of these.
        heads: one: classes and map of the file; own: every corpus keeps its own classes, named
            corpus::label, and the map is not used.

    Returns:
        corpus.yaml as a dictionary, and all utterances, with `corpus` as a column of their own.

    Raises:
        SertlError: No such union; wrong keys or labels; data that other recipes have yet to make.
    """
    path = Path(folder) / f"{name}.yaml"
    if not path.is_file():
        known = [p.stem for p in path.parent.glob("*.yaml")]
        raise unknown_name(f"union (in {folder})", name, known)
    if by not in (CORPUS, SPEAKERS):
        raise unknown_name("by", by, [CORPUS, SPEAKERS])
    if heads not in (ONE, OWN):
        raise unknown_name("heads", heads, [ONE, OWN])
    if heads == OWN and by == CORPUS:
        raise SertlError(
            "heads=own: a corpus that is left out would have no head; take by=speakers with it"
        )
    conf = checked(UnionFile, load_yaml(path), str(path))
    if len(conf["corpora"]) < FEWEST:
        raise SertlError(f"{path}: {len(conf['corpora'])} corpora; expected two or more")
    sides, utts, labels, words = [], [], [], [conf["notes"]] if conf["notes"] else []
    for prefix, member in conf["corpora"].items():
        side = read_side(path, prefix, {**member, "prefix": f"{prefix}_"}, Path(recipes))
        table, classes = member["map"], conf["labels"]
        if heads == OWN:
            table = {label: f"{prefix}{MARK}{label}" for label in side.corpus.labels}
            classes = list(table.values())
        labels += [label for label in classes if label not in labels]
        check_map(f"{path}: {prefix}.map", table, side.corpus.labels, classes)
        found, dropped = mapped(side.utts.values(), table)
        found = [_one_of_several(u, prefix) for u in found]
        sides.append(side)
        words.append(_counts(prefix, len(found), dropped))
        if by == SPEAKERS:
            found, _ = deal_groups(found, groups)
        else:
            found = [replace(u, session=prefix) for u in found]
        utts += found
    return _describe(name, sides, utts, labels, by, words), utts


def _one_of_several(utt: Utterance, corpus: str) -> Utterance:
    """Without what differs between corpora in scale or meaning."""
    return replace(utt, vad=None, votes=None, part=None, own={**utt.own, CORPUS: corpus})


def _counts(corpus: str, kept: int, dropped: Counter[str]) -> str:
    """For the notes of the corpus."""
    words = ", ".join(f"{label} {n}" for label, n in sorted(dropped.items())) or "none"
    return f"{corpus}: {kept} utterances, dropped: {words}"


def _describe(
    name: str,
    sides: Sequence[Side],
    utts: Sequence[Utterance],
    labels: Sequence[str],
    by: str,
    notes: list[str],
) -> dict:
    """corpus.yaml of all together."""

    def all_of(key: str) -> str:
        return "; ".join(dict.fromkeys(str(getattr(s.corpus, key)) for s in sides))

    if by == CORPUS:
        notes.append("a fold leaves one corpus out")
    else:
        notes.append("a fold leaves out a group of speakers of every corpus")
    counts = Counter(u.emo for u in utts)
    return {
        "name": f"union {name}",
        **{key: all_of(key) for key in ("release", "language", "licence", "cite")},
        "labels": list(labels),
        "group_by": "session",
        "protocol": "fixed" if by == CORPUS and len(sides) == FEWEST else "loso",
        "notes": ". ".join([*notes, *(s.corpus.notes for s in sides if s.corpus.notes)]),
        "expected": {ALL: {label: counts[label] for label in labels}},
    }
