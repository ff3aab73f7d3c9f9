# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Weights averaged over training: their exponential moving average is judged and kept."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class WeightAverage:
    """Moving average of the trained parameters.

    Args:
        model: With its starting weights.
        decay: Share of the average that stays at each update; 0 keeps no average. Early on it is
            (1 + u) / (10 + u) at most, so that the start does not weigh for long.

    Source:
        Polyak & Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.model, self.decay = model, decay
        self.average: dict[str, torch.Tensor] = {}
        self.restart()

    def restart(self) -> None:
        """Begin at the weights that the model has now."""
        if self.decay:
            self.average = {n: p.detach().clone() for n, p in self._trained()}

    def _trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((n, p) for n, p in self.model.named_parameters() if p.requires_grad)

    @torch.no_grad()
    def update(self, number: int) -> None:
        """Take in the weights after update number, from 1."""
        if self.decay:
            decay = min(self.decay, (1 + number) / (10 + number))
            for name, parameter in self._trained():
                self.average[name].lerp_(parameter, 1.0 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the averaged weights inside."""
        if not self.decay:
            yield
            return
        trained = {n: p.detach().clone() for n, p in self._trained()}
        self._put(self.average)
        try:
            yield
        finally:
            self._put(trained)

    @torch.no_grad()
    def _put(self, weights: dict[str, torch.Tensor]) -> None:
        for name, parameter in self._trained():
            parameter.copy_(weights[name])

    def state(self) -> dict[str, torch.Tensor]:
        """For a resume."""
        return self.average

    @torch.no_grad()
    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Undo state."""
        for name, tensor in state.items():
            self.average[name].copy_(tensor)
