# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Folds of a pair: the target is split as by itself, and each fold holds out a part of the source.

So forgetting can be scored, on source speakers that no stage has seen. Of one corpus (scripted and
improvised speech of the same actors) a fold holds out the same group on both sides; of two
corpora, the groups of the source take turns.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sertl.data.datadir import DataDir
from sertl.data.fields import PARTS
from sertl.data.pairs import Pair, Side
from sertl.data.split import Fold, make_folds
from sertl.errors import SertlError

logger = logging.getLogger(__name__)

SOURCE = "source_"  # before the name of a part: source_train, source_dev, source_test


@dataclass(frozen=True)
class PairFold(Fold):
    """A fold of the target, and what goes with it of the source.

    Attributes:
        source: Part name to ids of the source.
    """

    source: dict[str, list[str]]

    def parts(self) -> dict[str, list[str]]:
        """Return {"train": ids, …, "source_test": ids}."""
        return {**super().parts(), **{SOURCE + name: ids for name, ids in self.source.items()}}


def make_pair_folds(pair: Pair, data: DataDir, protocol: str = "") -> list[PairFold]:
    """Split a pair.

    Args:
        pair: What to split.
        data: Its directory, from stage 1.
        protocol: Of the target, and of sources from the same corpus, instead of the pair's own.

    Raises:
        SertlError: The directory was made from another pair; as split.make_folds; a group that one
            side lacks; a speaker who is held out on one side and trained on, on the other.
    """
    if {u.utt: u.emo for u in pair.utts} != {u.utt: u.emo for u in data.utts.values()}:
        raise SertlError(
            f"{data.path} was made from another pair, or from older data; run stage 1 with --redo"
        )
    target = pair.target
    folds = _split(target, data, protocol or target.protocol)
    sources = []
    for side in pair.sources:
        same = side.corpus.name == target.corpus.name
        own = _split(side, data, (protocol or target.protocol) if same else side.protocol)
        sources.append([_beside(fold, own, same) for fold in folds])
    joined = []
    for fold, *beside in zip(folds, *sources, strict=True):
        ids = {name: sorted(u for f in beside for u in f.parts()[name]) for name in PARTS}
        joined.append(PairFold(fold.index, fold.group, fold.train, fold.dev, fold.test, ids))
        _refuse_leaks(fold, beside, data, protocol or target.protocol)
        logger.info(
            "fold %d, source %s: train %d, dev %d, test %d utterances",
            *(fold.index, " + ".join(f.group for f in beside)),
            *(len(ids[name]) for name in PARTS),
        )
    return joined


def _split(side: Side, data: DataDir, protocol: str) -> list[Fold]:
    part = replace(data, utts={utt: data.utts[utt] for utt in side.utts})
    return make_folds(part, side.corpus, protocol)


def _beside(fold: Fold, source: Sequence[Fold], same: bool) -> Fold:
    """The source's fold that goes with a fold of the target."""
    if not same:
        return source[(fold.index - 1) % len(source)]
    by_group = {f.group: f for f in source}
    if fold.group not in by_group:
        raise SertlError(
            f"the target holds out {fold.group}, which the source, of the same corpus, lacks; it "
            f"has {', '.join(by_group)}"
        )
    return by_group[fold.group]


def _refuse_leaks(fold: Fold, beside: Sequence[Fold], data: DataDir, protocol: str) -> None:
    """Whoever is held out on one side is in no stage of the other."""

    def speakers(one: Fold, *names: str) -> set[str]:
        return {data.utts[utt].spk for name in names for utt in one.parts()[name]}

    rules = [("test", ("train", "dev"))]
    if protocol != "superb":  # whose dev speakers are those of train
        rules.append(("dev", ("train",)))
    for other in beside:
        for one, two in ((fold, other), (other, fold)):
            for held_out, learned in rules:
                shared = sorted(speakers(one, held_out) & speakers(two, *learned))
                if shared:
                    raise SertlError(
                        f"fold {fold.index}: {', '.join(shared[:5])} is in {held_out} on one side "
                        f"of the pair and in {' or '.join(learned)} on the other"
                    )
