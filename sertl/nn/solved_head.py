# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A solved linear head as a module: standardised vectors of some layers to logits or values."""

from collections.abc import Sequence

import torch
from torch import nn

from sertl.nn.own_heads import log_probs

COMBINE = ("best", "mean", "stack", "concat")
FLOOR = -12.0  # of a log-probability that goes into a stack
LEAST_STD = 1e-5  # as in solve/linear_problem.py


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
        heads: (C,) head of each class, where there are several (nn/own_heads.py).

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
        heads: Sequence[int] | None = None,
    ):
        super().__init__()
        if combine not in COMBINE or (combine == "stack" and not classes):
            raise ValueError(f"combine is '{combine}', expected one of {COMBINE}")
        self.combine, self.layers, self.classes = combine, list(layers), classes
        self.columns, self.heads = columns, heads
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
        logs = torch.stack([log_probs(f, self.heads) for f in found])  # (M, B, C)
        if self.over is None:
            return mean_of_probabilities(logs)
        return log_probs(self.over(stacked(logs)), self.heads)


class SolvedHead(nn.Module):
    """Parts whose probabilities, or values, are averaged; most often there is one.

    Args:
        input_size, output_size, classes, heads: See SolvedPart.
        parts: Its combine, layers and columns, for each part.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        parts: Sequence[dict],
        classes: bool,
        heads: Sequence[int] | None = None,
    ):
        super().__init__()
        self.classes = classes
        self.parts = nn.ModuleList(
            SolvedPart(
                input_size, output_size, p["combine"], p["layers"], p["columns"], classes, heads
            )
            for p in parts
        )

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, L, P) -> (B, C): log-probabilities of classes, or values."""
        found = torch.stack([part(vectors) for part in self.parts])
        return mean_of_probabilities(found) if self.classes else found.mean(dim=0)

    def as_one_map(self, vectors: torch.Tensor) -> Standardised:
        """The head as a single linear map of the layers' vectors side by side.

        Logits are averaged where the head averages probabilities, so that these become their
        geometric mean. What a part does not read has weight 0.

        Args:
            vectors: (N, L, P) that it was solved on, for the standardisation.

        Returns:
            A map of (B, L * P).

        Raises:
            ValueError: If a part is a stack, which no linear map is.
        """
        size = vectors.shape[2]
        flat = vectors.flatten(1).double()
        weight = flat.new_zeros(self.parts[0].maps[0].weight.shape[0], flat.shape[1])
        bias = weight.new_zeros(len(weight))
        std = flat.std(dim=0, correction=0)
        std = torch.where(std > LEAST_STD, std, torch.ones_like(std))
        for part in self.parts:
            if part.over is not None:
                raise ValueError("a stack of regressions is no linear map")
            share = 1.0 / (len(self.parts) * len(part.maps))
            for layers, one in zip(part.views, part.maps, strict=True):
                columns = torch.cat([n * size + torch.arange(size)[: part.columns] for n in layers])
                weight[:, columns] += share * one.weight.double() / one.std * std[columns]
                rest = (one.weight.double() / one.std) @ (flat.mean(dim=0)[columns] - one.mean)
                bias += share * (one.bias + rest)
        found = Standardised(flat.shape[1], len(weight))
        found.set(flat.mean(dim=0), std, weight, bias)
        return found


def mean_of_probabilities(logs: torch.Tensor) -> torch.Tensor:
    """(M, B, C) log-probabilities -> (B, C) log of their mean."""
    return logs.logsumexp(dim=0) - torch.tensor(float(len(logs))).log()


def stacked(logs: torch.Tensor) -> torch.Tensor:
    """(M, B, C) log-probabilities -> (B, M * C), what a stack reads."""
    return logs.clamp_min(FLOOR).transpose(0, 1).flatten(1)
