# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What the settings of a phase may be; refused here, before anything is loaded or trained."""

import torch

from sertl.data.dataset import UttDataset
from sertl.errors import SertlError, unknown_name
from sertl.models.base import SERModel
from sertl.schema.training_keys import BUDGETS

AUTOCAST = {"none": None, "bf16": torch.bfloat16, "fp16": torch.float16}
# What chooses the checkpoint, and what decides a tie of it (None: the earlier epoch).
SELECT = {
    "dev_ua": ("ua", None),
    "dev_ua_loss": ("ua", "loss"),
    "dev_wa": ("wa", None),
    "dev_ccc": ("ccc", None),
    "dev_loss": ("loss", None),
    "dev_emo_loss": ("loss_emo", None),  # of several tasks, emotion's own
    "dev_wer": ("wer", None),
    "last": (None, None),
}
LOWER = ("loss", "loss_emo", "wer")  # better the lower they are; the others the higher


def check_settings(
    conf: dict, select: str, train: UttDataset, dev: UttDataset | None, device: torch.device
) -> None:
    """Refuse settings of a complete phase that training cannot follow.

    Args:
        conf: The phase.
        select: What chooses the checkpoint, of the phase or of the protocol.
        train: Training utterances.
        dev: Of the fold, if it has a dev set.
        device: To train on.

    Raises:
        SertlError: Naming the key.
    """
    if select not in SELECT:
        raise unknown_name("select", select, SELECT)
    if SELECT[select][0] is not None and dev is None:
        raise SertlError(f"select: {select} needs a dev set, and this protocol has none")
    autocast, sampler = conf["optim_conf"]["autocast"], conf["data_conf"]["sampler"]
    if AUTOCAST[autocast] is torch.float16 and device.type != "cuda":
        raise SertlError("optim_conf.autocast: fp16 needs a GPU; use bf16 or none on the CPU")
    if sampler == "balanced" and max(train.emo) < 0:
        raise SertlError(
            f"data_conf.sampler: balanced, but the {conf['name']} phase reads no emotion labels; "
            "set it for the phases that do: --set <phase>.data_conf.sampler=balanced"
        )


FRAME_SEC = 0.02


def updates_of(optim: dict, train: UttDataset, per_epoch: int) -> int:
    """Updates of a whole phase, by whichever of its keys says so.

    Raises:
        SertlError: If two of them do.
    """
    named = [key for key in BUDGETS if optim[key]]
    if len(named) > 1:
        raise SertlError(
            f"optim_conf: {' and '.join(named)} all say how long to train; set all but one to 0"
        )
    if optim["updates"]:
        return optim["updates"]
    if optim["frames_per_update"]:
        return max(1, round(sum(train.durs_sec) / FRAME_SEC / optim["frames_per_update"]))
    return optim["epochs"] * per_epoch


def check_whole_batches(model: SERModel, data_conf: dict, train: UttDataset, world: int) -> None:
    """Refuse batches that are small, or would be cut, under a loss that is a statistic of a batch.

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
    needed = size * max(train.train_sec)
    if needed > data_conf["batch_sec"]:
        raise SertlError(
            f"{where}; {size} utterances as long as the longest take {needed:.0f} s, so "
            f"data_conf.batch_sec={data_conf['batch_sec']:g} may cut a batch: raise it to that, or "
            "lower data_conf.batch_size"
        )


def check_whole_clips(model: SERModel, phase: dict) -> None:
    """Refuse to crop where transcripts are learned.

    Raises:
        SertlError: Naming the phase and the crop.
    """
    crop_sec = phase["data_conf"]["crop_sec"]
    if "text" in model.needs and crop_sec:
        raise SertlError(
            f"phase {phase['name']}: data_conf.crop_sec {crop_sec} cuts the audio but not its "
            "transcript; set it to 0, and max_sec to leave long clips out"
        )
