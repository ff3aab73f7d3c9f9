# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Groups of speakers that judge a later phase, and that no earlier one has learned.

Where groups of speakers choose a phase's updates and lambda (select_conf.folds; with refit alone
the dev set is the only one), each of them is to be new to the training that it judges, from the
encoder on. An earlier phase with as many groups has made a training without each of them; the later
phase's training without a group starts from that one instead of from the result, which has seen
all.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from sertl.data.datadir import DataDir
from sertl.stages.selecting import groups_of, nothing_to_choose
from sertl.stages.training_data import known_to
from sertl.train.saved_state import SPLIT
from sertl.train.trained import BEST

logger = logging.getLogger(__name__)


def hands_over(conf: dict, phase: dict) -> bool:
    """Whether a later phase of the method starts from this one's trainings without a group each."""
    groups = groups_of(phase)
    return groups > 0 and any(
        later["init"]["from"] == phase["name"]
        and groups_of(later) == groups
        and not nothing_to_choose(later, later["select"])
        for later in conf["phases"]
    )


def results_of_groups(start: Path | None, groups: int) -> list[Path]:
    """What an earlier phase has left of its trainings without a group each, where it has.

    Args:
        start: Folder of the phase that another one starts from.
        groups: Of that other phase.
    """
    if start is None:
        return []
    paths = [start / f"{SPLIT}{number}" / BEST for number in range(1, groups + 1)]
    return [path for path in paths if path.is_file()]


def start_without(held_out: DataDir, start: Path | None, name: str) -> Path | None:
    """The folder from which a training starts that holds speakers out.

    That is the earlier phase's own training without them; where there is none, its result, which
    may have learned them.

    Args:
        held_out: Utterances of these speakers.
        start: Folder of the earlier phase; None where weights are new.
        name: Of the training's folder in each of the phases.
    """
    if start is None:
        return None
    without = start / name
    return without if (without / BEST).is_file() and not known_to(without, held_out) else start


def tell_starts(held_out: Mapping[str, DataDir], start: Path, phase: str) -> None:
    """Say from where the trainings of a phase start, and whether that knows whom they hold out.

    Args:
        held_out: What each of them holds out, by the name of its folder.
        start: Folder of the earlier phase.
        phase: Name of the phase.
    """
    seen: set[str] = set()
    for name, data in held_out.items():
        folder = start_without(data, start, name)
        seen |= known_to(folder, data)
        if folder != start:
            logger.info("%s starts from %s, which has not seen its speakers", name, folder)
    if seen:
        logger.warning(
            "phase %s starts from %s, which was trained on %d of the %d utterances held out here: "
            "updates and lambda are chosen on what is easier than new speakers; with as many "
            "select_conf.folds that phase makes a training without each group, with "
            "select_conf.folds=0 select_conf.refit=true the dev set chooses",
            *(phase, start, len(seen), sum(len(data.utts) for data in held_out.values())),
        )
