# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a phase trains on: the fold's training set, other data directories, or both.

Nothing that the fold holds out gets in. Speech for a phase without labels may come from any
directory: what is there of the fold's dev and test speakers is left out and counted.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sertl.data.datadir import DataDir, Utterance, read_data_dir, read_table, write_table
from sertl.data.folds import HELD_OUT, FoldDir
from sertl.data.speaker_groups import speaker_groups
from sertl.errors import SertlError
from sertl.seed import derive_seed

logger = logging.getLogger(__name__)

FOLD = "fold"  # in data_conf.train: the fold's own training set; fold/<part>: another part of it
IDS_FILE = "train_ids"  # in a phase's folder: utterances and speakers it was trained on


def training_data(
    sources: Sequence[str], fold: FoldDir, labelled: bool, transductive: bool, share: float = 1.0
) -> DataDir:
    """Read and join the directories that a phase trains on.

    Args:
        sources: data_conf.train: FOLD, other parts of the fold, and paths of data directories.
        fold: Of the run.
        labelled: Whether the phase reads labels. If not, they are removed here, so that none can
            leak, and `transductive` adds the fold's dev and test audio.
        transductive: As configured.
        share: Of FOLD, the share that is used.

    Raises:
        SertlError: Nothing to train on; one id in two directories; labelled held-out utterances.
    """
    own = fold.part("train")
    alone = not transductive and all(of_fold(source) for source in sources)
    held_out = [] if alone else fold.held_out()
    utts: dict[str, Utterance] = {}
    for source in sources:
        if source == FOLD:
            found = share_of(own.utts, share, fold.number)
            if transductive and not labelled:
                found |= {utt: u for part in held_out for utt, u in part.utts.items()}
        elif of_fold(source):
            found = part_of_fold(source, fold)
        else:
            found = read_data_dir(source).utts
            if not transductive or labelled:
                found = without(found, held_out, source, labelled)
        twice = sorted(utts.keys() & found.keys())
        if twice:
            raise SertlError(f"data_conf.train: {source} repeats {len(twice)} ids, e.g. {twice[0]}")
        utts |= found
    if not utts:
        raise SertlError(f"data_conf.train: {list(sources)} leave nothing to train on")
    if not labelled:
        utts = {utt: unlabelled(u) for utt, u in utts.items()}
    return DataDir(own.path, dict(sorted(utts.items())), own.labels, own.vad_range)


def of_fold(source: str) -> bool:
    """Whether a word of data_conf.train is a part of the fold: `fold`, `fold/source_train`."""
    return source == FOLD or source.startswith(f"{FOLD}/")


def part_of_fold(source: str, fold: FoldDir) -> dict[str, Utterance]:
    """The utterances of fold/<part>, which stage 2 made.

    Raises:
        SertlError: A part that is held out or not there, or that holds a speaker of the test set.
    """
    name = source.removeprefix(f"{FOLD}/")
    if name in HELD_OUT:
        raise SertlError(f"data_conf.train: {source} is held out; nothing may be trained on it")
    if not fold.has(name):
        raise SertlError(
            f"data_conf.train: {fold.path} has no part '{name}'; the recipe that makes "
            "folds of two corpora is egs/adaptation"
        )
    return without(fold.part(name).utts, [fold.part("test")], source, labelled=True)


def share_of(utts: dict[str, Utterance], share: float, fold: int) -> dict[str, Utterance]:
    """A share of every class, the same for all seeds; a smaller share is part of a larger one.

    Args:
        utts: A training set.
        share: In (0, 1]; of each class at least one utterance is taken.
        fold: Its number, which decides the draw.

    Raises:
        SertlError: For a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise SertlError(f"data_conf.share is {share}, expected more than 0 and at most 1")
    classes: dict[str | None, list[str]] = {}
    for utt in utts.values():
        classes.setdefault(utt.emo, []).append(utt.utt)
    taken: set[str] = set()
    for emo, ids in classes.items():
        order = np.random.default_rng(derive_seed(fold, "share", emo)).permutation(len(ids))
        taken |= {ids[i] for i in order[: max(1, round(share * len(ids)))]}
    return {utt: u for utt, u in utts.items() if utt in taken}


def training_groups(fold: FoldDir, count: int) -> list[list[str]]:
    """The fold's training speakers, dealt into groups: the same for all seeds.

    Raises:
        SertlError: If there are fewer speakers than groups.
    """
    seed = derive_seed(fold.number, "groups", count)
    return speaker_groups(fold.part("train").utts.values(), count, seed)


def without_group(data: DataDir, leave_out: Sequence[int] | None, fold: FoldDir) -> DataDir:
    """Training data without a group of the fold's training speakers.

    Args:
        data: Training data.
        leave_out: Number of the group, from 1, and how many there are; None leaves nothing out.
        fold: Of the run.

    Raises:
        SertlError: For something else.
    """
    if leave_out is None:
        return data
    good = (
        isinstance(leave_out, list)
        and len(leave_out) == 2
        and all(type(n) is int for n in leave_out)
    )
    if not good or not 1 <= leave_out[0] <= leave_out[1]:
        raise SertlError(
            f"data_conf.leave_out is {leave_out!r}, expected null, or group and number of groups"
        )
    out = {*training_groups(fold, leave_out[1])[leave_out[0] - 1]}
    return replace(data, utts={utt: u for utt, u in data.utts.items() if u.spk not in out})


def training_speakers(fold: FoldDir) -> set[str]:
    """Speakers that the protocol itself trains on, be it that it tests on them too."""
    names = [d.name for d in fold.path.iterdir() if (d / "utt2spk").is_file()]
    parts = [fold.part(name) for name in names if name not in HELD_OUT]
    return {u.spk for part in parts for u in part.utts.values()}


def without(
    utts: dict[str, Utterance], held_out: Sequence[DataDir], source: str, labelled: bool
) -> dict[str, Utterance]:
    """Leave out, or refuse where labels are read, what the fold holds out: its ids and speakers."""
    ids = {utt for part in held_out for utt in part.utts}
    speakers = {u.spk for part in held_out for u in part.utts.values()}
    out = {utt: u for utt, u in utts.items() if utt in ids or u.spk in speakers}
    if out and labelled:
        raise SertlError(
            f"data_conf.train: {source} holds {len(out)} utterances of the fold's dev or test "
            f"speakers, e.g. {next(iter(out))}; train on 'fold' or on another corpus"
        )
    if out:
        logger.info("%s: %d utts of held-out speakers left out of training", source, len(out))
    return {utt: u for utt, u in utts.items() if utt not in out}


def without_long(data: DataDir, max_sec: float) -> DataDir:
    """Leave out what is longer than max_sec seconds, and say how much that is; 0 keeps all.

    Raises:
        SertlError: If nothing is left.
    """
    if not max_sec:
        return data
    kept = {utt: u for utt, u in data.utts.items() if u.dur_sec <= max_sec}
    if not kept:
        raise SertlError(f"data_conf.max_sec: no training utterance is as short as {max_sec} s")
    if len(kept) < len(data.utts):
        number = len(data.utts) - len(kept)
        logger.info("%d utts longer than %g s left out of training", number, max_sec)
    return replace(data, utts=kept)


def unlabelled(utt: Utterance) -> Utterance:
    """The utterance with its audio and speaker only."""
    return replace(utt, emo=None, gender=None, style=None, text=None, vad=None, own={})


def dump_of(source: str, dump: Path) -> Path:
    """Where stage 3 puts the hidden states of a data directory that is not the recipe's own.

    Args:
        source: Path of the directory, as in data_conf.train.
        dump: The recipe's own dump, `dump/<upstream>`.
    """
    word = re.sub(r"[^A-Za-z0-9]+", "-", source).strip("-")
    return dump.with_name(f"{dump.name}_{word}")


def known_to(folder: Path, data: DataDir) -> set[str]:
    """Utterances of the speakers whom a phase was trained on; all where it did not say on whom.

    An older version did not say on whom it made its trainings without a group.
    """
    if not (folder / IDS_FILE).is_file():
        return {*data.utts}
    speakers = {*read_table(folder / IDS_FILE).values()}
    return {utt for utt, u in data.utts.items() if u.spk in speakers}


def save_ids(folder: Path, data: DataDir, start: Path | None = None) -> None:
    """Write down what a phase is trained on, as lines of utterance and speaker.

    Args:
        folder: Of the phase.
        data: Its training data.
        start: Folder of the phase that it starts from, whose utterances count as seen.
    """
    seen = {} if start is None else read_table(start / IDS_FILE)
    write_table(folder / IDS_FILE, seen | {utt: u.spk for utt, u in data.utts.items()})
