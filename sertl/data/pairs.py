# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Pairs of corpora for domain adaptation: source and target with common classes, in one directory.

A pair file names the data of other recipes and what each label of the source becomes:

    source: {recipe: nemo, data: data/nemo30/all, policy: nemo30}   # or a list of such lines
    target: {recipe: emodb}
    map: {anger: anger, surprised: null}                            # null: dropped

The classes are the labels of the target that the map reaches; the others are dropped and counted.
"""

import logging
import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from sertl.data.corpus import ALL, Corpus, load_corpus
from sertl.data.datadir import Utterance, read_data_dir
from sertl.data.label_map import LabelMap, check_map, mapped
from sertl.errors import SertlError, unknown_name
from sertl.schema.corpus_keys import PairFile
from sertl.schema.strict import checked
from sertl.yaml_text import load_yaml

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Side:
    """What a pair takes of one corpus.

    Attributes:
        corpus: Its description, with the pair's classes as labels.
        protocol: How it is split.
        utts: By id, with the pair's classes.
        dropped: Label to the number of utterances left out.
    """

    corpus: Corpus
    protocol: str
    utts: dict[str, Utterance]
    dropped: Counter[str]


@dataclass(frozen=True)
class Pair:
    """Source and target.

    Attributes:
        corpus: Both, described as one corpus; its policy is the name of the pair.
        sources: One or more.
        target: What is adapted to.
    """

    corpus: Corpus
    sources: list[Side]
    target: Side

    @property
    def utts(self) -> list[Utterance]:
        """The utterances of all sides, as one data directory can hold them."""
        found = [u for side in (*self.sources, self.target) for u in side.utts.values()]
        if self.corpus.vad_range is None:
            found = [replace(u, vad=None) for u in found]
        return found


def load_pair(folder: str | os.PathLike, name: str, recipes: str | os.PathLike) -> Pair:
    """Read a pair and the data that it names.

    Args:
        folder: conf/pairs.
        name: A file in it, without .yaml.
        recipes: Folder of the recipes whose data are paired.

    Raises:
        SertlError: No such pair; wrong keys or labels; data that other recipes have yet to make;
            utterances on two sides, or speakers of two corpora with one id.
    """
    path = Path(folder) / f"{name}.yaml"
    if not path.is_file():
        raise unknown_name(
            f"pair (in {folder})", name, [p.stem for p in path.parent.glob("*.yaml")]
        )
    conf = checked(PairFile, load_yaml(path), str(path))
    several = conf["source"] if isinstance(conf["source"], list) else [conf["source"]]
    sides = [read_side(path, "source", options, Path(recipes)) for options in several]
    target = read_side(path, "target", conf["target"], Path(recipes))
    labels = {label: None for side in sides for label in side.corpus.labels}
    table = conf["map"]
    check_map(f"{path}: map", table, list(labels), target.corpus.labels)
    if len(set(table.values()) - {None}) < 2:
        raise SertlError(f"{path}: map leaves fewer than two classes")
    classes = [label for label in target.corpus.labels if label in table.values()]
    kept = {label: label if label in classes else None for label in target.corpus.labels}
    expected = _expected([(s.corpus, table) for s in sides] + [(target.corpus, kept)])
    sides = [_in_classes(side, table, classes) for side in sides]
    target = _in_classes(target, kept, classes)
    _refuse_clashes(path, [*sides, target])
    merged = {label: to for label, to in table.items() if to and to != label}
    corpus = replace(_describe(name, sides, target, conf["notes"]), merge=merged, expected=expected)
    if corpus.vad_range is None and any(u.vad for s in (*sides, target) for u in s.utts.values()):
        logger.info("%s: valence, arousal and dominance left out, their scales differ", path)
    return Pair(corpus, sides, target)


def read_side(path: Path, what: str, side: dict, recipes: Path) -> Side:
    """Read one corpus with its own labels."""
    recipe = recipes / side["recipe"]
    data_dir = recipe / side["data"]
    if not data_dir.is_dir():
        policy = f" --policy {side['policy']}" if side["policy"] else ""
        raise SertlError(
            f"{path}, {what}: {data_dir} is not there; make it with: "
            f"cd {recipe} && ./run.sh --stop-stage 1{policy} …"
        )
    corpus = load_corpus(recipe / side["conf"], side["policy"] or None)
    data = read_data_dir(data_dir)
    if data.labels != corpus.labels:
        raise SertlError(
            f"{path}, {what}: {data_dir} has the classes {data.labels}, but policy "
            f"'{corpus.policy}' of {recipe / side['conf']} has {corpus.labels}; name the `policy` "
            "that the data were made with"
        )
    prefix = side["prefix"]
    utts = [
        replace(
            u,
            utt=prefix + u.utt,
            spk=prefix + u.spk,
            wav=u.wav if Path(u.wav).is_absolute() else os.path.normpath(recipe / u.wav),
        )
        for u in data.utts.values()
    ]
    by_id = {u.utt: u for u in sorted(utts, key=lambda u: u.utt)}
    return Side(corpus, side["protocol"] or corpus.protocol, by_id, Counter())


def _in_classes(side: Side, table: LabelMap, classes: list[str]) -> Side:
    """The side with the classes of the pair instead of its own labels."""
    kept, dropped = mapped(side.utts.values(), table)
    utts = {u.utt: u for u in kept}
    return Side(replace(side.corpus, labels=classes), side.protocol, utts, dropped)


def _expected(sides: list[tuple[Corpus, LabelMap]]) -> dict[str, dict[str, int]]:
    """Utterances per class, from the counts that the corpora's own descriptions state."""
    total = Counter()
    for corpus, table in sides:
        if not corpus.expected:
            return {}
        for row in corpus.expected.values():
            for label, count in row.items():
                if table[label]:
                    total[table[label]] += count
    return {ALL: dict(total)}


def _refuse_clashes(path: Path, sides: list[Side]) -> None:
    """One id must not stand for two utterances, or for speakers of two corpora."""
    utts: dict[str, Side] = {}
    speakers: dict[str, Side] = {}
    for side in sides:
        for u in side.utts.values():
            other = utts.setdefault(u.utt, side)
            if other is not side:
                raise SertlError(
                    f"{path}: utterance '{u.utt}' is in {other.corpus.name} and in "
                    f"{side.corpus.name}; {_hint(other, side)}"
                )
            other = speakers.setdefault(u.spk, side)
            if other.corpus.name != side.corpus.name:
                raise SertlError(
                    f"{path}: speaker '{u.spk}' is in {other.corpus.name} and in "
                    f"{side.corpus.name}; {_hint(other, side)}"
                )


def _hint(one: Side, other: Side) -> str:
    if one.corpus.name == other.corpus.name:
        return "source and target must be different parts of the corpus (see policies)"
    return "if these are two, tell them apart with `prefix: x_` on one side of the pair"


def _describe(name: str, sources: list[Side], target: Side, notes: str) -> Corpus:
    """Both corpora as one, for the protocol card."""
    sides = [*sources, target]

    def both(key: str) -> str:
        return "; ".join(dict.fromkeys(f"{getattr(s.corpus, key)}" for s in sides))

    words = [notes] if notes else []
    for what, side in (*(("source", s) for s in sources), ("target", target)):
        dropped = ", ".join(f"{label} {n}" for label, n in sorted(side.dropped.items()))
        words.append(
            f"{what}: {side.corpus.name}, policy {side.corpus.policy}, protocol {side.protocol}"
            + (", which shares speakers between its parts" if side.corpus.shared_speakers else "")
            + f"; {len(side.utts)} utterances, dropped: {dropped or 'none'}"
        )
    words.append(
        "a fold holds out of the source the same group, where both are one corpus, else the groups "
        "of the source in turn"
    )
    ranges = {s.corpus.vad_range for s in sides}
    return replace(
        target.corpus,
        name=f"{' + '.join(s.corpus.name for s in sources)} to {target.corpus.name}",
        policy=name,
        release=both("release"),
        language=both("language"),
        licence=both("licence"),
        cite=both("cite"),
        notes=". ".join([*words, *dict.fromkeys(s.corpus.notes for s in sides if s.corpus.notes)]),
        drop=[],
        only_style=None,
        excluded={},
        vad_range=ranges.pop() if len(ranges) == 1 else None,
        shared_speakers=target.corpus.shared_speakers,
    )
