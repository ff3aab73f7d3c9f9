# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""last.pt: where training stands and all that it needs to go on as if it had not been killed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sertl.errors import SertlError
from sertl.run_file import RETRAIN, understanding
from sertl.train import checkpoint, distributed
from sertl.train.interpolation import Interpolation

if TYPE_CHECKING:
    from sertl.train.loop import Trainer

logger = logging.getLogger(__name__)

LAST = "last.pt"
SPLIT = "select"  # and a number: folder, in the phase's, of a training that says what to choose
SAVED = (
    "model",
    "optimizer",
    "scaler",
    "average",
    "start",
    "started",
    "shifts",
    "state",
    "random",
    "records",
)


@dataclass
class State:
    """Where training stands; saved with the model and the optimiser, restored by a resume."""

    epoch: int = 1
    batch: int = 0  # batches of this epoch that are done
    update: int = 0
    judged: int = -1  # the update after which dev was looked at last
    best: float | None = None
    best_tie: float | None = None
    best_epoch: int = 0
    best_update: int = 0
    stale: int = 0  # looks at dev since the best
    finished: bool = False
    lr: float = 0.0  # of the latest update, before lr_scale
    share: float = 1.0  # of the way from the start to the best update, see interpolation.py


def save(trainer: Trainer) -> None:
    """Write last.pt; the random state of every process goes along."""
    random = distributed.gather(checkpoint.random_state(trainer.device))
    records = distributed.gather(trainer.record.state())
    if trainer.rank == 0:
        checkpoint.save(
            trainer.out / LAST,
            {
                "model": checkpoint.trained_state(trainer.model),
                "optimizer": trainer.updater.optimizer.state_dict(),
                "scaler": trainer.updater.scaler.state_dict(),
                "average": trainer.average.state(),
                "start": {} if trainer.way is None else trainer.way.start,
                "started": trainer.started,
                "shifts": trainer.model.shifts,
                "state": vars(trainer.state),
                "random": random,
                "records": records,
            },
        )
    distributed.barrier()


def discard(folder: Path, for_later: bool = False) -> None:
    """Delete what only a resume would read of a phase that is done, most of what it takes on disk.

    Its last.pt, and the models of its selections, whose logs say all that was chosen by them; their
    results stay where a later phase starts from them.
    """
    of_splits = f"{SPLIT}*/{LAST}" if for_later else f"{SPLIT}*/*.pt"
    for path in (folder / LAST, *folder.glob(of_splits)):
        path.unlink(missing_ok=True)


def resume(trainer: Trainer) -> bool:
    """Put a trainer where last.pt says; False if there is none.

    Raises:
        SertlError: It is damaged, of another model, or of another number of processes.
    """
    path = trainer.out / LAST
    if not path.is_file():
        return False
    saved = checkpoint.load(path, *SAVED)
    with understanding(path, RETRAIN):
        _restore(trainer, path, saved)
    state = trainer.state
    logger.info("resuming at epoch %d, update %d", state.epoch, state.update)
    return True


def _restore(trainer: Trainer, path: Path, saved: dict) -> None:
    if len(saved["random"]) != trainer.world:
        raise SertlError(
            f"{path} was made by {len(saved['random'])} processes, this run has {trainer.world}: "
            "use as many, or --redo"
        )
    checkpoint.load_trained(trainer.model, saved["model"], str(path))
    trainer.updater.optimizer.load_state_dict(saved["optimizer"])
    trainer.updater.scaler.load_state_dict(saved["scaler"])
    trainer.average.restore(saved["average"])
    trainer.started = saved["started"]
    if trainer.lambdas != [1.0]:
        trainer.way = Interpolation(trainer.model)
        trainer.way.start = {n: t.to(trainer.device) for n, t in saved["start"].items()}
    trainer.model.shifts = saved["shifts"]
    trainer.state = State(**saved["state"])
    trainer.record.restore(saved["records"][trainer.rank])
    checkpoint.set_random_state(saved["random"][trainer.rank], trainer.device)
