# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Training, development and test parts under a protocol, without speakers shared between them."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sertl.data.corpus import PROTOCOLS, Corpus, group_of
from sertl.data.datadir import DataDir, Utterance
from sertl.data.fields import PARTS
from sertl.errors import SertlError, unknown_name
from sertl.seed import derive_seed

logger = logging.getLogger(__name__)

# How dev is made, and what chooses the epoch: dev UA, dev WA, or nothing (the last epoch).
DEV_RULES = {
    "loso": "the next group in sorted order, wrapping round",
    "loso10": "the other speakers of the test speaker's session",
    "superb": "random 20 % of the other groups' utterances, speakers seen, split seed {seed}",
    "fixed": "none",
    "official": "as shipped",
}
SELECT = {
    "loso": "dev_ua",
    "loso10": "dev_ua",
    "superb": "dev_wa",
    "fixed": "last",
    "official": "dev_ua",
}


@dataclass(frozen=True)
class Fold:
    """One fold: ids in C order; dev is empty under the protocol `fixed`.

    Attributes:
        index: From 1.
        group: What is tested: a session, a speaker, or "official".
    """

    index: int
    group: str
    train: list[str]
    dev: list[str]
    test: list[str]

    def parts(self) -> dict[str, list[str]]:
        """Return {"train": ids, "dev": ids, "test": ids}."""
        return {name: getattr(self, name) for name in PARTS}


def make_folds(data: DataDir, corpus: Corpus, protocol: str, seed: int = 0) -> list[Fold]:
    """Split a corpus.

    Args:
        data: The whole corpus, prepared under the policy of `corpus`.
        corpus: Says what a group is.
        protocol: loso, loso10, superb, fixed or official.
        seed: Of the random dev part of `superb`.

    Raises:
        SertlError: Unknown protocol; too few groups; speakers shared between parts that must not.
    """
    if protocol not in PROTOCOLS:
        raise unknown_name("protocol", protocol, PROTOCOLS)
    if data.labels != corpus.labels:
        raise SertlError(
            f"{data.path} has the classes {data.labels}, but policy '{corpus.policy}' of "
            f"{corpus.name} has {corpus.labels}; run stage 1 with the same --policy"
        )
    split: dict[str, Callable[[], list[Fold]]] = {
        "loso": lambda: _loso(data, corpus),
        "loso10": lambda: _loso10(data),
        "superb": lambda: _superb(data, corpus, seed),
        "fixed": lambda: _fixed(data, corpus),
        "official": lambda: _official(data),
    }
    folds = split[protocol]()
    for fold in folds:
        for name in ("train", "test") if protocol == "fixed" else PARTS:
            if not getattr(fold, name):
                raise SertlError(f"protocol {protocol}, fold {fold.index}: {name} is empty")
        shared = shared_speakers(fold, data, protocol)
        if shared and not (protocol == "official" and corpus.shared_speakers):
            hint = (
                "; if the corpus is shipped so, set `shared_speakers: true` in corpus.yaml, which "
                "is printed with every result"
            )
            raise SertlError(
                f"protocol {protocol}, fold {fold.index} (test {fold.group}): {len(shared)} "
                f"speakers are in two parts: {', '.join(shared[:5])}"
                + (hint if protocol == "official" else "; a group must hold whole speakers")
            )
        _log_classes(fold, data)
    return folds


def shared_speakers(fold: Fold, data: DataDir, protocol: str) -> list[str]:
    """Return the speakers of two parts; under `superb` train and dev share theirs by definition."""
    spks = {name: {data.utts[u].spk for u in ids} for name, ids in fold.parts().items()}
    pairs = [p for p in combinations(PARTS, 2) if protocol != "superb" or "test" in p]
    return sorted(set().union(*(spks[a] & spks[b] for a, b in pairs)))


def _groups(data: DataDir, key: Callable[[Utterance], str], need: int, why: str) -> dict:
    """Return group to ids, both in C order."""
    groups: dict[str, list[str]] = {}
    for utt in data.utts.values():
        groups.setdefault(key(utt), []).append(utt.utt)
    if len(groups) < need:
        raise SertlError(
            f"{data.path}: {why} needs at least {need} groups, found {len(groups)}: "
            f"{', '.join(sorted(groups))}"
        )
    return dict(sorted(groups.items()))


def _rest(groups: dict[str, list[str]], *without: str) -> list[str]:
    return sorted(utt for group, ids in groups.items() if group not in without for utt in ids)


def _loso(data: DataDir, corpus: Corpus) -> list[Fold]:
    why = "protocol loso (one group each for test and dev; `fixed` does without dev)"
    groups = _groups(data, lambda u: group_of(corpus, u), 3, why)
    names = list(groups)
    following = names[1:] + names[:1]
    return [
        Fold(i, test, _rest(groups, test, dev), groups[dev], groups[test])
        for i, (test, dev) in enumerate(zip(names, following, strict=True), start=1)
    ]


def _loso10(data: DataDir) -> list[Fold]:
    session_of: dict[str, str] = {}
    for u in data.utts.values():
        if u.session is None:
            raise SertlError(
                f"protocol loso10 takes dev from the test speaker's session, but '{u.utt}' has "
                "none (utt2session); use loso"
            )
        if session_of.setdefault(u.spk, u.session) != u.session:
            raise SertlError(
                f"protocol loso10: speaker '{u.spk}' is in sessions '{session_of[u.spk]}' and "
                f"'{u.session}' ('{u.utt}'); use loso"
            )
    groups = _groups(data, lambda u: u.spk, 2, "protocol loso10")
    folds = []
    for i, spk in enumerate(groups, start=1):
        partners = [s for s in groups if s != spk and session_of[s] == session_of[spk]]
        if not partners:
            raise SertlError(
                f"protocol loso10: speaker '{spk}' is alone in session '{session_of[spk]}', so "
                "there is no dev speaker; use loso"
            )
        dev = sorted(utt for s in partners for utt in groups[s])
        folds.append(Fold(i, spk, _rest(groups, spk, *partners), dev, groups[spk]))
    return folds


def _superb(data: DataDir, corpus: Corpus, seed: int) -> list[Fold]:
    groups = _groups(data, lambda u: group_of(corpus, u), 2, "protocol superb")
    folds = []
    for i, test in enumerate(groups, start=1):
        rest = _rest(groups, test)
        rng = np.random.default_rng(derive_seed(seed, "superb", test))
        order = rng.permutation(len(rest))
        num_train = len(rest) * 4 // 5  # S3PRL rounds down too
        train, dev = (sorted(rest[n] for n in part) for part in np.split(order, [num_train]))
        folds.append(Fold(i, test, train, dev, groups[test]))
    return folds


def _fixed(data: DataDir, corpus: Corpus) -> list[Fold]:
    groups = _groups(data, lambda u: group_of(corpus, u), 2, "protocol fixed")
    return [
        Fold(i, test, _rest(groups, test), [], groups[test])
        for i, test in enumerate(groups, start=1)
    ]


def _official(data: DataDir) -> list[Fold]:
    parts: dict[str, list[str]] = {name: [] for name in PARTS}
    for u in data.utts.values():
        if u.part is None:
            raise SertlError(
                f"protocol official needs utt2part (train, dev or test) in {data.path}, but "
                f"'{u.utt}' has none; does the corpus have an official split?"
            )
        parts[u.part].append(u.utt)
    return [Fold(1, "official", **parts)]


def _log_classes(fold: Fold, data: DataDir) -> None:
    """Say which classes a part lacks: a model cannot learn them, or a recall is not defined."""
    for name, ids in fold.parts().items():
        found = Counter(data.utts[u].emo for u in ids)
        missing = [label for label in data.labels if not found[label]]
        if missing and ids and found.total() > found[None]:
            level = logging.WARNING if name == "train" else logging.INFO
            logger.log(
                level,
                "fold %d (test %s): %s has no %s",
                *(fold.index, fold.group, name, ", ".join(missing)),
            )


def per_class(data: DataDir, ids: Sequence[str]) -> dict[str, int]:
    """Count utterances by class, in index order."""
    count = Counter(data.utts[u].emo for u in ids)
    return {label: count[label] for label in data.labels}
