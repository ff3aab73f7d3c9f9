# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A loss that is a statistic of the batch must see batches whole, and large enough."""

from sertl.data.dataset import UttDataset
from sertl.errors import SertlError
from sertl.models.base import SERModel


def check_whole_batches(model: SERModel, data_conf: dict, train: UttDataset, world: int) -> None:
    """Refuse batches that are small, or would be cut in pieces, under such a loss.

    A concordance correlation of four utterances, accumulated eight times, is not that of 32.

    Args:
        model: `least_batch` says what its loss needs; 1 is any.
        data_conf: Of the phase.
        train: Training utterances.
        world: Processes that share a batch.

    Raises:
        SertlError: Naming the keys to change.
    """
    least, size = model.least_batch, data_conf["batch_size"]
    if least == 1:
        return
    where = "model_conf.vad_loss: ccc is a statistic of a whole batch"
    if world > 1:
        raise SertlError(f"{where}, and {world} processes would each see a part; use one")
    if size < least:
        raise SertlError(f"{where}; data_conf.batch_size is {size}, expected {least} or more")
    needed = size * max(train.durs_sec)
    if needed > data_conf["batch_sec"]:
        raise SertlError(
            f"{where}; {size} utterances as long as the longest take {needed:.0f} s, so "
            f"data_conf.batch_sec={data_conf['batch_sec']:g} may cut a batch: raise it to that, or "
            "lower data_conf.batch_size"
        )
