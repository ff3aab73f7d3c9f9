# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""How long to train, found on groups of training speakers; then one training on all of them.

The UA of a single dev speaker of a few dozen clips is mostly noise. With `select_conf.folds` the
training and dev speakers are dealt into groups; trainings that leave out one group each say what
every epoch scores on speakers they do not know, and the last training, on all speakers, makes the
number of updates that was best. With `select_conf.refit` alone the dev set is the only such group;
where there is nothing to choose, no training but that on all speakers is made.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sertl.data.datadir import DataDir
from sertl.data.speaker_groups import divided, speaker_groups
from sertl.errors import SertlError
from sertl.score.records import read_log
from sertl.seed import derive_seed
from sertl.stages.phase import OpenPhase
from sertl.train.interpolation import loss_of, name_of_loss
from sertl.train.loop import Trainer
from sertl.train.saved_state import SPLIT
from sertl.train.settings import LOWER, SELECT

logger = logging.getLogger(__name__)

OWN_RULE = ("superb", "fixed", "official")  # published protocols say themselves what chooses

ALL_GIVEN = "nothing: updates and lambda were given, the last update kept; trained on train + dev"


@dataclass(frozen=True)
class Split:
    """A training that says what each epoch is worth.

    Attributes:
        name: Its folder in the phase's.
        train: What it trains on.
        held_out: What it is judged on; no speaker is in both.
    """

    name: str
    train: DataDir
    held_out: DataDir


@dataclass(frozen=True)
class Budget:
    """What was found.

    Attributes:
        updates: To make.
        total: Of which the learning-rate schedule is.
        share: Of the way from the start to the result (train/interpolation.py).
        epoch: The best, of the splits' trainings.
        value: Its score; None where the number of updates was given.
        words: For the protocol card.
    """

    updates: int
    total: int
    share: float
    epoch: int
    value: float | None
    words: str


def splits_of(opened: OpenPhase, protocol: dict) -> list[Split]:
    """The trainings that find the budget; none where the fold's dev set chooses as it is.

    Args:
        opened: The phase.
        protocol: Of the fold.

    Raises:
        SertlError: No dev set, or fewer speakers than groups.
    """
    conf = opened.phase["select_conf"]
    folds, refit = conf["folds"], conf["refit"]
    if not folds and not refit:
        return []
    if protocol["protocol"] in OWN_RULE:
        name = protocol["protocol"]
        logger.info("select_conf is not for protocol %s, which has a rule of its own", name)
        return []
    if opened.dev is None:
        raise SertlError("select_conf.refit and folds need a dev set to train on in the end")
    return _groups(opened, folds) if folds else [Split(f"{SPLIT}1", opened.train, opened.dev)]


def _groups(opened: OpenPhase, folds: int) -> list[Split]:
    everything = joined(opened)
    speakers = len({u.spk for u in everything.utts.values()})
    if not 2 <= folds <= speakers:
        raise SertlError(
            f"select_conf.folds is {folds}; there are {speakers} training and dev speakers, "
            "so expected 0, or 2 to as many"
        )
    seed = derive_seed(0, "select", opened.run.fold)
    groups = speaker_groups(everything.utts.values(), folds, seed)
    parts = (divided(everything, set(group)) for group in groups)
    return [Split(f"{SPLIT}{number}", *both) for number, both in enumerate(parts, start=1)]


def groups_of(phase: dict) -> int:
    """How many groups of speakers are held out once each; with refit alone dev is the only one."""
    conf = phase["select_conf"]
    return conf["folds"] or int(conf["refit"])


def nothing_to_choose(phase: dict, select: str) -> bool:
    """Whether refit finds everything given: all updates, one lambda."""
    conf = phase["select_conf"]
    return select == "last" and not conf["folds"] and len(set(conf["lambdas"])) == 1


def joined(opened: OpenPhase) -> DataDir:
    """Training and dev utterances together."""
    utts = {**opened.train.utts, **(opened.dev.utts if opened.dev else {})}
    return replace(opened.train, utts=dict(sorted(utts.items())))


def find_budget(
    splits: Sequence[Split],
    make: Callable[[Split], Trainer],
    out: Path,
    select: str,
    for_later: bool = False,
) -> Budget:
    """Train on every split; take what is best on all held-out utterances together.

    That is the number of updates, by select, and the share of the way from the start to the result,
    by the loss of interpolation.loss_of, each split's own result at its end. Where that share is 0
    the start is the result, and no update is asked for.

    Args:
        splits: From splits_of.
        make: Builds the trainer of one, with a folder out/<its name>.
        out: Of the phase.
        select: What is compared, a key of settings.SELECT; last takes all updates.
        for_later: Whether a later phase needs these trainings, be there nothing to choose here.

    Raises:
        SertlError: If there is nothing to choose: last, and a single share.
    """
    metric, tie = SELECT[select]
    logs, total, lambdas, first = [], [], [], 0
    for number, split in enumerate(splits, start=1):
        logger.info("selection %d of %d: %s", number, len(splits), split.name)
        trainer = make(split)
        if metric is None and len(trainer.lambdas) == 1 and not for_later:
            raise SertlError(
                f"select_conf with select {select} and lambdas {trainer.lambdas}: there is nothing "
                "to choose by"
            )
        trainer.run()
        total.append(trainer.total)
        logs.append(read_log(out / split.name))
        lambdas, first = trainer.lambdas, 0 if trainer.may_keep_start else 1
    weights = np.array([len(split.held_out.utts) for split in splits], dtype=float)
    weights /= weights.sum()
    dev = [[e for e in log if e["kind"] == "dev" and e["update"] >= first] for log in logs]
    count = min(map(len, dev))
    best, value = count - 1, None
    if metric is not None:
        scores = np.array([[[e[metric], e[tie or metric]] for e in one[:count]] for one in dev])
        means = np.einsum("s,sek->ek", weights, scores)  # (looks at dev, 2)
        best = best_look(means, metric, tie)
        value = float(means[best, 0])
    looks = [one[best] for one in dev]
    updates = round(float(np.mean([e["update"] for e in looks])))
    share = best_share(logs, weights, lambdas)
    judge = f", lambda {share:g} by {_judge_of(logs)}" if len(lambdas) > 1 else ""
    epoch, then = looks[0]["epoch"], "trained on train + dev"
    words = f"{updates} updates by {select}{judge}, of {len(splits)} groups of training and dev "
    if share == 0.0:
        updates, epoch, then = 0, 0, "started from train + dev, with no update"
    words += f"speakers, each held out once; then {then}"
    return Budget(updates, round(float(np.mean(total))), share, epoch, value, words)


def best_share(logs: Sequence[list[dict]], weights: np.ndarray, lambdas: Sequence[float]) -> float:
    """The lambda of the least loss over the splits, of equals the one nearer to the start."""
    if len(lambdas) == 1:
        return lambdas[0]

    def loss(share: float) -> float:
        of_splits = (
            next(loss_of(e) for e in log if e["kind"] == "lambda" and e["share"] == share)
            for log in logs
        )
        return sum(w * value for w, value in zip(weights, of_splits, strict=True))

    return min(lambdas, key=lambda share: (loss(share), share))


def _judge_of(logs: Sequence[list[dict]]) -> str:
    """By which loss lambda was chosen."""
    return name_of_loss(next(e for e in logs[0] if e["kind"] == "lambda"))


def best_look(means: np.ndarray, metric: str, tie: str | None) -> int:
    """The best row; of equals the one of the lower loss, or the earlier.

    Args:
        means: (looks at dev, 2) of the metric and of what decides a tie.
        metric: loss and wer are better the lower they are, the others the higher.
        tie: Metric of the second column; None looks at the first alone.
    """
    first = -means[:, 0] if metric in LOWER else means[:, 0]
    second = np.zeros(len(means)) if tie is None else -means[:, 1]
    return max(range(len(means)), key=lambda e: (first[e], second[e], -e))
