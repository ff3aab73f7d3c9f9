# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Linear layers whose weight and bias are computed from the stored ones whenever they are read."""

import torch
from torch import nn


class DerivedLinear(nn.Linear):
    """An nn.Linear with PEFT modules (LoRA, Factors) between the stored tensors and their reader.

    Fused attention functions are handed `q_proj.weight` and never call `q_proj`: a wrapper's
    forward or a hook would have no effect there. torch.nn.utils.parametrize also reaches such a
    reader, but moves the stored tensor to `parametrizations.weight.original`, where the
    checkpoint of a phase that trained the whole encoder finds nothing to load into. Here the
    tensors keep their names, and theirs are `peft.<name>.<tensor>`.

    Made by derive(), never by its constructor.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., I) -> (..., O); a module that is alone may have a cheaper way (apply_to)."""
        if len(self.peft) == 1:
            found = next(iter(self.peft.values())).apply_to(self, x)
            if found is not None:
                return found
        return super().forward(x)

    @property
    def weight(self) -> torch.Tensor:
        """(O, I): the stored weight as its modules change it, in the order they were put on."""
        weight = self._parameters["weight"]
        for module in self.peft.values():
            weight = module.on_weight(weight)
        return weight

    @property
    def bias(self) -> torch.Tensor | None:
        """(O,): likewise; None if the layer has none."""
        bias = self._parameters["bias"]
        if bias is not None:
            for module in self.peft.values():
                bias = module.on_bias(bias)
        return bias


def derive(linear: nn.Linear, name: str, module: nn.Module) -> None:
    """Put a module on a linear layer in place, after those that are there.

    Raises:
        ValueError: If it is no plain linear layer, or has a module of that name.
    """
    if type(linear) is nn.Linear:
        linear.__class__ = DerivedLinear
        linear.peft = nn.ModuleDict()
    elif type(linear) is not DerivedLinear:
        raise ValueError(f"{type(linear).__name__} is no plain linear layer")
    if name in linear.peft:
        raise ValueError(f"the layer has a PEFT module '{name}' already")
    linear.peft[name] = module


@torch.no_grad()
def fold(linear: DerivedLinear, name: str) -> None:
    """Write a module, which must be the first, into the stored tensors and remove it, in place.

    Raises:
        ValueError: If it is not the first.
    """
    if next(iter(linear.peft)) != name:
        raise ValueError(f"'{name}' is not the first of {list(linear.peft)}")
    module = linear.peft[name]
    weight, bias = linear._parameters["weight"], linear._parameters["bias"]
    weight.copy_(module.on_weight(weight))
    if bias is not None:
        bias.copy_(module.on_bias(bias))
    del linear.peft[name]
    if not linear.peft:
        del linear.peft
        linear.__class__ = nn.Linear
