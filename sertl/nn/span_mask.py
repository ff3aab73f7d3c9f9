# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Span masks over frames, for predicting what was masked."""

import torch


def span_mask(
    length: int, prob: float, span: int, generator: torch.Generator, least: int = 0
) -> torch.Tensor:
    """Mask spans of one utterance; they may overlap, and no two start at the same frame.

    Args:
        length: Frames of the utterance.
        prob: Masked frames if spans did not overlap, as a share of length; prob * length / span
            spans are drawn, rounded up or down at random so that the mean is exact.
        span: Frames per span.
        generator: Decides rounding and starts.
        least: Spans there are at least, however short the utterance; 0 keeps the share exact.

    Returns:
        (length,) bool, True where masked: nowhere if length < span, else at least `least` spans, or
        as many as start at different frames.

    Source:
        Spans and their number as in wav2vec 2.0 (Baevski et al., NeurIPS 2020).
    """
    starts = length - span + 1
    if starts < 1:
        return torch.zeros(length, dtype=torch.bool)
    rounding = torch.rand((), generator=generator).item()
    number = min(max(least, int(prob * length / span + rounding)), starts)
    chosen = torch.randperm(starts, generator=generator)[:number]
    mask = torch.zeros(length, dtype=torch.bool)
    mask[(chosen[:, None] + torch.arange(span)).flatten()] = True  # (number, span) frames
    return mask


def span_masks(
    lens: list[int],
    max_len: int,
    prob: float,
    span: int,
    generators: list[torch.Generator],
    least: int = 0,
) -> torch.Tensor:
    """Masks of a batch, (B, max_len) bool; each utterance has its own generator.

    So an utterance's mask does not depend on the utterances beside it.
    """
    masks = torch.zeros(len(lens), max_len, dtype=torch.bool)
    for row, length, generator in zip(masks, lens, generators, strict=True):
        row[:length] = span_mask(length, prob, span, generator, least)
    return masks
