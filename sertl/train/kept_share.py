# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The end of a phase: how much of the way from its start to its result is kept, tried on dev."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import torch

from sertl.errors import SertlError
from sertl.train import checkpoint, distributed
from sertl.train.interpolation import loss_of, name_of_loss
from sertl.train.trained import BEST

if TYPE_CHECKING:
    from sertl.train.loop import Trainer

logger = logging.getLogger(__name__)


def keep_share(trainer: Trainer) -> None:
    """Keep the weights of the least dev loss between the start and the best update, in best.pt.

    What dev said of each share goes with them: a run that is killed hereafter goes on from a state
    whose log has none of it.

    Raises:
        SertlError: If best.pt holds a share already, and not what was tried.
    """
    if trainer.way is None:
        return
    distributed.barrier()
    state, source = trainer.state, str(trainer.out / BEST)
    best = checkpoint.load(trainer.out / BEST, "model", "share")
    if "tried" in best:
        state.share = best["share"]
        for entry in json.loads(best["tried"]):
            trainer.record.write(entry)
        return
    if best["share"] != 1.0:
        raise SertlError(f"{source} was left by an older version of sertl; train anew (--redo)")
    checkpoint.load_trained(trainer.model, best["model"], source)
    tried, norms, why = [], {}, "as given"
    if len(trainer.lambdas) > 1:
        for share in trainer.lambdas:
            tried.append(_try(trainer, best["model"], share))
            norms[share] = trainer.live.norm
        why = f"by {name_of_loss(tried[0])} on dev"
        if trainer.head is not None:
            why = "by the loss of a head on its output"
    losses = {entry["share"]: loss_of(entry) for entry in tried}
    state.share = min(trainer.lambdas, key=lambda x: (losses.get(x), x))
    trainer.way.put(best["model"], state.share)
    if state.share in norms:
        trainer.live.norm = norms[state.share]
    else:
        trainer.live.refresh(trainer.train_set, trainer.seed, fit=True)
    trainer.write_best(state.share, tried)
    logger.info("lambda %g of the way from the start, %s", state.share, why)


def _try(trainer: Trainer, result: dict[str, torch.Tensor], share: float) -> dict:
    """What dev says at a share of the way, as it is logged.

    Where a phase reads no emotions, a head solved on its frozen output says what its result is
    worth to them: the loss of its own task alone says that it has learned, not what was lost.
    """
    trainer.way.put(result, share)
    trainer.live.refresh(trainer.train_set, trainer.seed, fit=True)
    if trainer.head is not None:
        found = trainer.head.judge(trainer.model, trainer.device, trainer.dtype)
        values = distributed.gather(found)[0]  # all must choose the same
    else:
        values = trainer.judge_dev()
    where = {"epoch": trainer.state.best_epoch, "update": trainer.state.best_update}
    entry = {"kind": "lambda", **where, "share": share, **values}
    trainer.record.write(entry)
    return entry
