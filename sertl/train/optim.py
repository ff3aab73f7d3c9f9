# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Optimiser and learning-rate schedule of a phase, from its optim_conf."""

import math

import torch
from torch import nn

from sertl.errors import SertlError
from sertl.peft.slots import peft_of

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
GROUPS = ("encoder", "parts", "mix", "heads")  # of lr_scale, beside names of modules


def lr_factor(update: int, total: int, schedule: str, warmup: float, hold: float) -> float:
    """Factor on the peak learning rate for an update.

    Args:
        update: 0-based number of the update about to be made.
        total: Updates of the whole phase.
        schedule: constant, linear or cosine, after warm-up and hold.
        warmup: Share of total spent rising linearly to 1; the first update is not at 0.
        hold: Share of total at 1 afterwards.
    """
    rise = round(total * warmup)
    if update < rise:
        return (update + 1) / (rise + 1)
    start = rise + round(total * hold)
    if schedule == "constant" or update < start:
        return 1.0
    rest = (update - start) / max(1, total - start)
    if schedule == "linear":
        return 1.0 - rest
    return 0.5 * (1.0 + math.cos(math.pi * rest))


def build_optimizer(model: nn.Module, conf: dict) -> torch.optim.Optimizer:
    """Optimise every parameter that requires a gradient; biases, norms and scalars do not decay.

    Raises:
        SertlError: Nothing to train, or a name in lr_scale that is no module or parameter.
    """
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    if not named:
        raise SertlError("the model has no trainable parameter")
    scales = flat(conf["lr_scale"])
    known = [n for n, _ in model.named_parameters()]  # a part may be frozen by another key
    known += getattr(model, "absent", [])  # or left out for lack of labels
    unused = [
        name for name in scales if name not in GROUPS and not any(_is_in(n, name) for n in known)
    ]
    if unused:
        raise SertlError(
            f"optim_conf.lr_scale: no module or parameter is called {unused}; groups are "
            f"{', '.join(GROUPS)}"
        )
    depth = block_depths(model) if conf["block_decay"] != 1.0 else {}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named:
        matching = [module for module in scales if _is_in(name, module)]
        scale = scales[max(matching, key=len)] if matching else scales.get(group_of(name), 1.0)
        scale *= conf["block_decay"] ** depth.get(id(parameter), 0)
        decay = conf["weight_decay"] if parameter.ndim > 1 else 0.0
        groups.setdefault((scale, decay), []).append(parameter)
    return OPTIMIZERS[conf["optimizer"]](
        [
            {"params": params, "lr_scale": scale, "weight_decay": decay}
            for (scale, decay), params in groups.items()
        ],
        lr=conf["lr"],
        betas=tuple(conf["betas"]),
        fused=True,  # one pass over the memory, and no temporary copies
    )


def group_of(name: str) -> str:
    """The group of a parameter: of the encoder, a PEFT module, the mix of layers, or all else."""
    if peft_of(name):
        return "parts"
    if name.startswith("upstream."):
        return "encoder"
    return "mix" if _is_in(name, "mix") else "heads"


def block_depths(model: nn.Module) -> dict[int, int]:
    """Of the encoder's parameters, by id, how many blocks that train lie above.

    What is below the first block counts as one more.

    Raises:
        SertlError: If the model has no encoder that trains, or its blocks are not known.
    """
    upstream = getattr(model, "upstream", None)
    if upstream is None or upstream.frozen:
        raise SertlError("optim_conf.block_decay: nothing of an encoder trains here")
    depth, blocks = {}, upstream.blocks()
    used = [b for b in blocks if any(p.requires_grad for p in b.module.parameters())]
    for above, block in enumerate(reversed(used)):
        depth |= {id(p): above for p in block.module.parameters()}
    inside = {id(p) for block in blocks for p in block.module.parameters()}
    final = upstream.final_norm()
    after = set() if final is None else {id(p) for p in final.parameters()}
    for parameter in upstream.parameters():
        if id(parameter) not in inside | after:
            depth[id(parameter)] = len(used)
    return depth


def _is_in(name: str, module: str) -> bool:
    """Whether a parameter is the one of that name, or in the module of that name."""
    return name == module or name.startswith(f"{module}.")


def flat(scales: dict, prefix: str = "") -> dict[str, float]:
    """{"adapter": {"narrow": 0.1}}, as --set lr_scale.adapter.narrow=0.1 gives -> adapter.narrow.

    Raises:
        SertlError: For a factor that is no number.
    """
    found = {}
    for name, value in scales.items():
        if value is None:  # a variant takes back what the method says
            continue
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            raise SertlError(f"optim_conf.lr_scale.{prefix}{name} is {value!r}, expected a number")
        else:
            found[prefix + name] = float(value)
    return found


def set_lr(optimizer: torch.optim.Optimizer, conf: dict, update: int, total: int) -> float:
    """Set every group's learning rate for an update; return the unscaled one."""
    factor = lr_factor(update, total, conf["schedule"], conf["warmup"], conf["hold"])
    for group in optimizer.param_groups:
        group["lr"] = conf["lr"] * factor * group["lr_scale"]
    return conf["lr"] * factor
