# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What the settings of a phase may be; refused here, before anything is loaded or trained."""

import math

import torch

from sertl.data.dataset import UttDataset
from sertl.errors import SertlError, check_count, unknown_name

AUTOCAST = {"none": None, "bf16": torch.bfloat16, "fp16": torch.float16}
SELECT = {"dev_ua": "ua", "dev_wa": "wa", "dev_ccc": "ccc", "dev_loss": "loss", "last": None}
SAMPLERS = ("shuffle", "balanced")
COUNTS = {  # whole numbers and their least values
    "data_conf": {"batch_size": 1, "bucket": 1},
    "optim_conf": {"epochs": 1, "patience": 0, "save_updates": 0},
}
NUMBERS = {  # least and greatest values
    "data_conf": {"batch_sec": (1e-3, math.inf), "crop_sec": (0.0, math.inf)},
    "optim_conf": {
        "lr": (0.0, math.inf),
        "weight_decay": (0.0, math.inf),
        "grad_clip": (0.0, math.inf),
        "warmup": (0.0, 1.0),
        "hold": (0.0, 1.0),
    },
}


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
    if SELECT[select] is not None and dev is None:
        raise SertlError(f"select: {select} needs a dev set, and this protocol has none")
    for section, counts in COUNTS.items():
        for key, least in counts.items():
            check_count(f"{section}.{key}", conf[section][key], least)
    for section, limits in NUMBERS.items():
        for key, (least, greatest) in limits.items():
            value = conf[section][key]
            if isinstance(value, bool) or not least <= value <= greatest:
                raise SertlError(f"{section}.{key}: {value!r} is not in {least:g} to {greatest:g}")
    betas = conf["optim_conf"]["betas"]
    if len(betas) != 2 or not all(0.0 <= beta < 1.0 for beta in betas):
        raise SertlError(f"optim_conf.betas: {betas} are not two numbers in [0, 1)")
    autocast, sampler = conf["optim_conf"]["autocast"], conf["data_conf"]["sampler"]
    if autocast not in AUTOCAST:
        raise unknown_name("autocast", autocast, AUTOCAST)
    if AUTOCAST[autocast] is torch.float16 and device.type != "cuda":
        raise SertlError("optim_conf.autocast: fp16 needs a GPU; use bf16 or none on the CPU")
    if sampler not in SAMPLERS:
        raise unknown_name("sampler", sampler, SAMPLERS)
    if sampler == "balanced" and max(train.classes) < 0:
        raise SertlError(
            f"data_conf.sampler: balanced, but the {conf['name']} phase reads no emotion labels; "
            "set it for the phases that do: --set <phase>.data_conf.sampler=balanced"
        )
