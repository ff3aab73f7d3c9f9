# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The way from where a phase starts to its result: start + lambda (result - start).

Source:
    Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022 (WiSE-FT).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from sertl.errors import SertlError

ALONE = (1.0,)  # the result as it is


class Interpolation:
    """Remembers the start of a model's parameters that training moves.

    Args:
        model: With its starting weights; beside what has a gradient, its `followers` are moved.
    """

    def __init__(self, model: nn.Module):
        self.model = model
        followers = getattr(model, "followers", ())
        self.start = {
            name: parameter.detach().clone()
            for name, parameter in model.named_parameters()
            if parameter.requires_grad or name.partition(".")[0] in followers
        }

    @torch.no_grad()
    def put(self, result: dict[str, torch.Tensor], share: float) -> None:
        """Give the model the weights at a share of the way.

        Args:
            result: Tensors by name, those of the start among them.
            share: lambda, 0 for the start and 1 for the result, each exactly.
        """
        for name, parameter in self.model.named_parameters():
            if name in self.start:
                end = result[name].to(parameter.device)
                way = {0.0: self.start[name], 1.0: end}.get(share)
                parameter.copy_(self.start[name].lerp(end, share) if way is None else way)


def loss_of(values: Mapping[str, float]) -> float:
    """What lambda is chosen by: of what a share of the way scored on held-out utterances.

    The calibrated loss of emotion, where the phase predicts it, as neither sureness nor a margin is
    to decide; else the loss of its own tasks.
    """
    return values.get("loss_calibrated", values["loss"])


def name_of_loss(values: Mapping[str, float]) -> str:
    """Which of its two losses loss_of takes, for the log and the protocol card."""
    return "calibrated loss" if "loss_calibrated" in values else "loss"


def check_lambdas(lambdas: Sequence[float]) -> list[float]:
    """The numbers of select_conf.lambdas, ascending.

    Raises:
        SertlError: No number, or one outside 0..1.
    """
    good = isinstance(lambdas, (list, tuple)) and lambdas
    if not good or not all(
        isinstance(x, (int, float)) and not isinstance(x, bool) and 0 <= x <= 1 for x in lambdas
    ):
        raise SertlError(f"select_conf.lambdas is {lambdas!r}, expected numbers from 0 to 1")
    return sorted({float(x) for x in lambdas})
