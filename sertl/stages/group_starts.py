# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Groups of speakers that judge a later phase, and that no earlier one has learned.

Where groups of speakers choose a phase's updates and lambda (select_conf.folds), each of them is to
be new to the training that it judges, from the encoder on. An earlier phase with as many groups has
made a training without each of them; the later phase's training without a group starts from that
one instead of from the result, which has seen all.
"""

import logging
from pathlib import Path

from sertl.data.datadir import DataDir, read_table
from sertl.stages.training_data import IDS_FILE
from sertl.train.saved_state import SPLIT
from sertl.train.trained import BEST

logger = logging.getLogger(__name__)


def hands_over(conf: dict, phase: dict) -> bool:
    """Whether a later phase of the method starts from this one's trainings without a group each."""
    folds = phase["select_conf"]["folds"]
    return folds > 0 and any(
        later["init"]["from"] == phase["name"] and later["select_conf"]["folds"] == folds
        for later in conf["phases"]
    )


def results_of_groups(start: Path | None, folds: int) -> list[Path]:
    """What an earlier phase has left of its trainings without a group each, where it has.

    Args:
        start: Folder of the phase that another one starts from.
        folds: select_conf.folds of that other phase.
    """
    if start is None:
        return []
    paths = [start / f"{SPLIT}{number}" / BEST for number in range(1, folds + 1)]
    return [path for path in paths if path.is_file()]


def start_without(held_out: DataDir, start: Path | None, name: str, phase: str) -> Path | None:
    """The folder from which a training starts that holds speakers out.

    That is the earlier phase's own training without them; where there is none, its result, which
    may have learned them: then that is said.

    Args:
        held_out: Utterances of these speakers.
        start: Folder of the earlier phase; None where weights are new.
        name: Of the training's folder in each of the phases.
        phase: Name of the phase that starts.
    """
    if start is None:
        return None
    without = start / name
    if (without / BEST).is_file() and not _seen(held_out, without):
        logger.info("%s starts from %s, which has not seen the speakers held out", name, without)
        return without
    seen = _seen(held_out, start)
    if seen:
        logger.warning(
            "phase %s starts from %s, which was trained on %d of the %d utterances held out here: "
            "updates and lambda are chosen on what is easier than new speakers; with as many "
            "select_conf.folds that phase makes a training without each group, with "
            "select_conf.folds=0 select_conf.refit=true the dev set chooses",
            *(phase, start, len(seen), len(held_out.utts)),
        )
    return start


def _seen(held_out: DataDir, folder: Path) -> set[str]:
    """Utterances held out whose speaker a phase was trained on; all where it did not say on whom.

    A training that was killed before its ids were written down is one that did not say.
    """
    if not (folder / IDS_FILE).is_file():
        return {*held_out.utts}
    speakers = {*read_table(folder / IDS_FILE).values()}
    return {utt for utt, u in held_out.utts.items() if u.spk in speakers}
