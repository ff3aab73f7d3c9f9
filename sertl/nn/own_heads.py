# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Logits of several heads in one output (data/own_classes.py).

An utterance has the classes of its own head alone: those of the others take no part in its loss,
and cannot be predicted of it.
"""

from collections.abc import Sequence

import torch

CLOSED = -1e4  # logit of a class of another head; its probability is 0 in every float type


def of_head(logits: torch.Tensor, heads: Sequence[int], rows: torch.Tensor) -> torch.Tensor:
    """Logits without the classes of other heads.

    Args:
        logits: (B, C), or log-probabilities.
        heads: (C,) head of each class.
        rows: (B,) int64 head of each row.
    """
    numbers = torch.tensor(heads, device=logits.device)
    return logits.masked_fill(rows.to(logits.device)[:, None] != numbers, CLOSED)


def of_own_head(
    logits: torch.Tensor, heads: Sequence[int] | None, classes: torch.Tensor
) -> torch.Tensor:
    """As of_head, of the heads of (B,) known classes, -1 where unknown; heads None: as they are."""
    if heads is None:
        return logits
    return of_head(logits, heads, torch.tensor(heads, device=classes.device)[classes.clamp_min(0)])


def log_probs(logits: torch.Tensor, heads: Sequence[int] | None) -> torch.Tensor:
    """(…, C) logits -> log-probabilities, which sum to 1 in each head; heads None: in all."""
    if heads is None:
        return logits.log_softmax(dim=-1)
    found = torch.empty_like(logits)
    numbers = torch.tensor(heads, device=logits.device)
    for head in sorted(set(heads)):
        own = numbers == head
        found[..., own] = logits[..., own].log_softmax(dim=-1)
    return found
