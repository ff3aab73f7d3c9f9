# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Where small trainable modules stand in a frozen encoder, and the registry of their kinds.

A kind is a function that puts its module into one Transformer block; its keyword arguments are the
options of upstream_conf.peft.<name>. What it puts in is called `peft.<name>` where it stands, so
that the encoder's own tensors keep their names.
"""

from collections.abc import Callable

from torch import nn

from sertl.registry import Registry

PEFT: Registry[Callable] = Registry("PEFT module", "sertl.peft")


def peft_module(name: str, order: int) -> Callable[[Callable], Callable]:
    """Register a function (block, **options) under a name.

    Args:
        name: In upstream_conf.peft.
        order: Modules of a lower one are put in first: LoRA before IA3, which scales what it
            gives, the adapter before the gate.
    """

    def keep_order(put: Callable) -> Callable:
        put.order = order
        return PEFT.register(name)(put)

    return keep_order


def keep(module: nn.Module, name: str, inside: nn.Module) -> nn.Module:
    """Make `inside` a child of module, where derive() would have put it: `peft.<name>`."""
    if not hasattr(module, "peft"):
        module.peft = nn.ModuleDict()
    module.peft[name] = inside
    return inside


def on_output(inside: nn.Module, _module: nn.Module, _args: tuple, output):
    """Forward hook: apply `inside` to the output, or to the first of several."""
    if isinstance(output, tuple):
        return inside(output[0]), *output[1:]
    return inside(output)


def peft_of(name: str) -> str | None:
    """The PEFT module that a parameter of this name belongs to; None for the encoder's own."""
    words = name.split(".")
    return words[words.index("peft") + 1] if "peft" in words else None
