# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A solved linear head as a module: standardised vectors of some layers to logits or values."""

from collections.abc import Sequence

import torch
from torch import nn

COMBINE = ("best", "mean", "stack", "concat")
FLOOR = -12.0  # of a log-probability that goes into a stack


class Standardised(nn.Module):
    """A linear map of standardised vectors. All tensors are buffers: solved, not trained.

    Args:
        input_size: P.
        output_size: C.
    """

    def __init__(self, input_size: int, output_size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(input_size))
        self.register_buffer("std", torch.ones(input_size))
        self.register_buffer("weight", torch.zeros(output_size, input_size))
        self.register_buffer("bias", torch.zeros(output_size))

    def set(self, mean, std, weight, bias) -> None:
        """Take a solution."""
        for name, value in (("mean", mean), ("std", std), ("weight", weight), ("bias", bias)):
            getattr(self, name).copy_(value)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, P) -> (B, C)."""
        return nn.functional.linear((vectors - self.mean) / self.std, self.weight, self.bias)


class SolvedPart(nn.Module):
    """One map, or one of each layer, combined.

    Args:
        input_size: P of a layer's vector, as it comes in.
        output_size: C.
        combine: best (one layer), concat (layers side by side), mean (of the layers' probabilities,
            or of their values), stack (a regression on the layers' log-probabilities).
        layers: Places in the vectors of the layers that are read.
        columns: Which dimensions of a layer's vector are read; None for all.
        classes: Whether the outputs are classes; else they are values.

    Source:
        Stacking: Wolpert, "Stacked generalization", Neural Networks 5(2), 1992.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        combine: str,
        layers: Sequence[int],
        columns: int | None,
        classes: bool,
    ):
        super().__init__()
        if combine not in COMBINE or (combine == "stack" and not classes):
            raise ValueError(f"combine is '{combine}', expected one of {COMBINE}")
        self.combine, self.layers, self.classes = combine, list(layers), classes
        self.columns = columns
        size = input_size if columns is None else columns
        self.views = [self.layers] if combine in ("best", "concat") else [[n] for n in self.layers]
        self.maps = nn.ModuleList(Standardised(size * len(v), output_size) for v in self.views)
        self.over = None
        if combine == "stack":
            self.over = Standardised(output_size * len(self.views), output_size)

    def view(self, vectors: torch.Tensor, number: int) -> torch.Tensor:
        """(B, L, P) -> the (B, P') that map number reads."""
        return vectors[:, self.views[number], : self.columns].flatten(1)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, L, P) -> (B, C): log-probabilities of classes, or values."""
        found = [m(self.view(vectors, i)) for i, m in enumerate(self.maps)]
        if not self.classes:
            return torch.stack(found).mean(dim=0)
        logs = torch.stack([f.log_softmax(dim=1) for f in found])  # (M, B, C)
        if self.over is None:
            return mean_of_probabilities(logs)
        return self.over(stacked(logs)).log_softmax(dim=1)


class SolvedHead(nn.Module):
    """Parts whose probabilities, or values, are averaged; most often there is one.

    Args:
        input_size, output_size, classes: See SolvedPart.
        parts: Its combine, layers and columns, for each part.
    """

    def __init__(self, input_size: int, output_size: int, parts: Sequence[dict], classes: bool):
        super().__init__()
        self.classes = classes
        self.parts = nn.ModuleList(
            SolvedPart(input_size, output_size, p["combine"], p["layers"], p["columns"], classes)
            for p in parts
        )

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, L, P) -> (B, C): log-probabilities of classes, or values."""
        found = torch.stack([part(vectors) for part in self.parts])
        return mean_of_probabilities(found) if self.classes else found.mean(dim=0)


def mean_of_probabilities(logs: torch.Tensor) -> torch.Tensor:
    """(M, B, C) log-probabilities -> (B, C) log of their mean."""
    return logs.logsumexp(dim=0) - torch.tensor(float(len(logs))).log()


def stacked(logs: torch.Tensor) -> torch.Tensor:
    """(M, B, C) log-probabilities -> (B, M * C), what a stack reads."""
    return logs.clamp_min(FLOOR).transpose(0, 1).flatten(1)
