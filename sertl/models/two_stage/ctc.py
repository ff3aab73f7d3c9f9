# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""CTC loss (Graves et al., ICML 2006) per label; the blank is label 0."""

import torch
from torch.nn import functional as F


def frames_needed(tokens: torch.Tensor, token_lens: torch.Tensor) -> torch.Tensor:
    """Frames of the shortest alignment: one per label, and a blank between two equal ones.

    Args:
        tokens: (B, U) labels, padded with anything.
        token_lens: (B,) labels of each transcript, 0 where there is none.

    Returns:
        (B,) int64.
    """
    repeated = tokens[:, 1:] == tokens[:, :-1]  # (B, U - 1)
    second = torch.arange(repeated.shape[1], device=tokens.device) + 1
    return token_lens + (repeated & (second < token_lens[:, None])).sum(dim=1)


def too_short(lens: torch.Tensor, tokens: torch.Tensor, token_lens: torch.Tensor) -> torch.Tensor:
    """(B,) bool: utterances with fewer frames than their transcript needs; its loss is infinite."""
    return frames_needed(tokens, token_lens) > lens


def ctc_loss(
    logits: torch.Tensor, lens: torch.Tensor, tokens: torch.Tensor, token_lens: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """-log p(transcript) / number of its labels, averaged over utterances.

    Utterances without a transcript, or with fewer frames than it needs, do not count.

    Args:
        logits: (B, T, V), padded with anything finite.
        lens: (B,) frames, as the encoder says.
        tokens: (B, U) int64 without blanks, padded with anything.
        token_lens: (B,).

    Returns:
        Mean loss (0 if nothing counts) and the number of utterances that count, both scalars.
    """
    counted = (token_lens > 0) & ~too_short(lens, tokens, token_lens)  # (B,)
    if not counted.any():
        return logits.sum() * 0.0, counted.sum().float()
    log_probs = logits[counted].float().log_softmax(dim=2)
    losses = F.ctc_loss(
        log_probs.transpose(0, 1),  # (T, B', V)
        tokens[counted],
        lens[counted],
        token_lens[counted],
        reduction="none",
        zero_infinity=True,  # p = 0 gives no gradient, rather than NaN
    )
    return (losses / token_lens[counted]).mean(), counted.sum().float()


def certain_blanks(log_probs: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
    """Make the padding blank with probability 1, which adds nothing to any reading.

    Args:
        log_probs: (B, T, V).
        lens: (B,) frames.
    """
    frames = torch.arange(log_probs.shape[1], device=log_probs.device)
    padding = (frames >= lens[:, None])[:, :, None]  # (B, T, 1)
    certain = torch.full_like(log_probs[0, 0], -torch.inf)  # (V,)
    certain[0] = 0.0
    return torch.where(padding, certain, log_probs)
