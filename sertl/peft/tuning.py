# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What of an encoder trains: upstream_conf of a phase, applied to an upstream."""

from collections import Counter
from collections.abc import Sequence

from torch import nn

from sertl.errors import SertlError
from sertl.peft.effect_check import effect_check, states_before
from sertl.peft.inject import inject, read_peft
from sertl.peft.lora import LoRA
from sertl.peft.slots import peft_of
from sertl.upstream.encoder import Upstream


def is_frozen(conf: dict) -> bool:
    """Whether nothing of the encoder trains under this upstream_conf."""
    return conf["tune"] == "none" and not any(o is not None for o in conf["peft"].values())


def tune(upstream: Upstream, conf: dict, layers: Sequence[int], check: bool = True) -> None:
    """Put the PEFT modules in, open what is to be tuned, and check that all of it acts.

    Args:
        upstream: As built: frozen.
        conf: upstream_conf of a phase.
        layers: Hidden states that the model reads; blocks above the highest never train.
        check: False leaves the check out, for weights that have been trained already.

    Raises:
        SertlError: A wrong conf, an encoder that does not fit it, or a failed check.
    """
    if is_frozen(conf):
        return
    check_tuning(conf, layers)
    kind, top, before, first = conf["tune"], max(layers), None, conf["from_layer"]
    if any(options is not None for options in conf["peft"].values()):
        before = states_before(upstream, top) if check else None
        inject(upstream, conf["peft"], top, first or 0)
    if kind == "all":
        upstream.trainable(layers, first)
    elif kind == "bitfit":
        open_biases(upstream, top, first or 0)
    elif kind == "last":
        open_last(upstream, conf["last_blocks"], top)
    if check and (before is not None or kind in ("bitfit", "last")):
        effect_check(upstream, layers, before)
    if conf["grad_checkpoint"]:
        upstream.blocks()  # an encoder without known blocks has nothing to recompute
        upstream.grad_checkpoint = True


def check_tuning(conf: dict, layers: Sequence[int]) -> None:
    """Refuse an upstream_conf that no encoder with these hidden states could follow.

    Raises:
        SertlError: Naming the key.
    """
    top, first = max(layers), conf["from_layer"]
    if first is not None and first >= top:
        raise SertlError(
            f"upstream_conf.from_layer is {first}, and no hidden state above it is read "
            f"(data_conf.layers: {list(layers)}): nothing would be tuned"
        )
    if any(options is not None for options in conf["peft"].values()):
        read_peft(conf["peft"], top, first or 0)
    most = top - (first or 0)
    if conf["tune"] == "last" and not 1 <= conf["last_blocks"] <= most:
        there = f"expected 1..{most}" if most else "and this encoder runs no block"
        raise SertlError(f"upstream_conf.last_blocks is {conf['last_blocks']}, {there}")


def open_biases(upstream: Upstream, top: int, first: int = 0) -> None:
    """BitFit: the biases of the linear layers and norms in blocks first + 1..top, 11 D in each.

    Source: Ben Zaken et al., "BitFit", ACL 2022.
    """
    blocks = upstream.blocks()[first:top]
    for block in blocks:
        for module in (*block.linears.values(), *block.norms):
            if module._parameters["bias"] is not None:  # Whisper's keys have none
                module._parameters["bias"].requires_grad_(True)
    open_up(upstream, [block.module for block in blocks])


def open_last(upstream: Upstream, number: int, top: int) -> None:
    """The last blocks, up to the highest hidden state used."""
    blocks = [block.module for block in upstream.blocks()[top - number : top]]
    for block in blocks:
        block.requires_grad_(True)
    open_up(upstream, blocks)


def open_up(upstream: Upstream, modules: list[nn.Module]) -> None:
    """Let gradient flow, and modules follow the parent into training mode."""
    upstream.frozen = False
    upstream.tuned = modules
    upstream.train()


def trained_by_group(model: nn.Module) -> dict[str, int]:
    """Trained parameters by kind: adapter, lora, …, bias or encoder for its own, and head.

    Args:
        model: With the upstream as `upstream`, or without one.
    """
    counts = Counter()
    own = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if not name.startswith("upstream."):
            counts["head"] += parameter.numel()
        elif peft_of(name):
            counts[peft_of(name)] += parameter.numel()
        else:
            own[name] = parameter.numel()
    if own:
        kind = "bias" if all(name.endswith("bias") for name in own) else "encoder"
        counts[kind] = sum(own.values())
    return dict(sorted(counts.items()))


def trained_line(model: nn.Module) -> str:
    """The counts of trained_by_group and the effective scale of LoRA, for the log."""
    counts = ", ".join(f"{group} {number:,}" for group, number in trained_by_group(model).items())
    scales = sorted({m.scale for m in model.modules() if isinstance(m, LoRA)})
    return f"{counts}; LoRA scale (alpha / rank) {scales[0]:g}" if scales else counts
