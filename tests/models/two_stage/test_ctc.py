# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""CTC: by hand, against torch, utterances too short or without transcript, padding, cutting."""

import math

import pytest
import torch
from torch.nn import functional as F

from sertl.models.two_stage.ctc import certain_blanks, ctc_loss, frames_needed, too_short

LENS = torch.tensor([12, 7, 3, 9])
TOKENS = torch.tensor([[1, 2, 2, 3], [4, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]])
TOKEN_LENS = torch.tensor([4, 2, 3, 0])  # the third needs 5 frames of its 3, the last has no text


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_by_hand():
    # two frames, p(a) = 0.6 and 0.7; "a" is aa, a-, -a: 0.42 + 0.18 + 0.28 = 0.88
    logits = torch.tensor([[[0.4, 0.6], [0.3, 0.7]]]).log()
    one = torch.tensor([1])
    loss, weight = ctc_loss(logits, torch.tensor([2]), one[None], one)
    assert loss.item() == pytest.approx(-math.log(0.88)) and weight.item() == 1
    # "aa" would need three frames
    loss, weight = ctc_loss(logits, torch.tensor([2]), torch.tensor([[1, 1]]), torch.tensor([2]))
    assert (loss.item(), weight.item()) == (0.0, 0.0)


def test_frames_needed():
    # 1 2 2 3 needs a blank between the twos; padding of zeros repeats nothing
    assert frames_needed(TOKENS, TOKEN_LENS).tolist() == [5, 2, 5, 0]
    assert too_short(LENS, TOKENS, TOKEN_LENS).tolist() == [False, False, True, False]
    assert too_short(torch.tensor([5, 2, 5, 1]), TOKENS, TOKEN_LENS).tolist() == [False] * 4
    none = torch.zeros(2, 0, dtype=torch.long)
    assert frames_needed(none, torch.tensor([0, 0])).tolist() == [0, 0]


def test_as_torch_where_everything_counts():
    logits = noise(2, 12, 5)
    lens, tokens, token_lens = LENS[:2], TOKENS[:2], TOKEN_LENS[:2]
    expected = F.ctc_loss(logits.log_softmax(2).transpose(0, 1), tokens, lens, token_lens)
    loss, weight = ctc_loss(logits, lens, tokens, token_lens)
    assert loss.item() == pytest.approx(expected.item()) and weight.item() == 2


def test_too_short_and_silent_utterances_do_not_count():
    logits = noise(4, 12, 5).requires_grad_()
    loss, weight = ctc_loss(logits, LENS, TOKENS, TOKEN_LENS)
    alone, _ = ctc_loss(logits[:2], LENS[:2], TOKENS[:2], TOKEN_LENS[:2])
    assert loss.item() == pytest.approx(alone.item()) and weight.item() == 2
    loss.backward()
    assert logits.grad.isfinite().all() and not logits.grad[2:].any() and logits.grad[:2].any()


def test_nothing_to_count():
    logits = noise(2, 4, 5).requires_grad_()
    none = torch.zeros(2, 0, dtype=torch.long)
    loss, weight = ctc_loss(logits, torch.tensor([4, 2]), none, torch.tensor([0, 0]))
    loss.backward()
    assert (loss.item(), weight.item()) == (0.0, 0.0) and not logits.grad.any()


def test_a_probability_of_zero_is_no_infinity():
    logits = noise(1, 3, 4)
    logits[:, :, 2] = -torch.inf
    logits.requires_grad_()
    two, one = torch.tensor([[2]]), torch.tensor([1])
    loss, _ = ctc_loss(logits, torch.tensor([3]), two, one)
    loss.backward()
    assert loss.item() == 0.0 and not logits.grad.any()


def test_padding_and_cutting_change_nothing():
    logits = noise(4, 12, 5)
    for row, n in zip(logits, LENS, strict=True):
        row[n:] = 100 * noise(12 - n, 5, seed=2)
    padded = torch.cat([logits, 100 * noise(4, 3, 5, seed=3)], dim=1)
    tokens = torch.cat([TOKENS, torch.full((4, 2), 3)], dim=1)
    loss, weight = ctc_loss(logits, LENS, TOKENS, TOKEN_LENS)
    again, _ = ctc_loss(padded, LENS, tokens, TOKEN_LENS)
    assert again.item() == pytest.approx(loss.item(), rel=1e-5)
    parts = [
        ctc_loss(logits[i : i + 1], LENS[i : i + 1], TOKENS[i : i + 1], TOKEN_LENS[i : i + 1])
        for i in range(4)
    ]
    total = sum(value * w for value, w in parts) / sum(w for _, w in parts)
    assert total.item() == pytest.approx(loss.item(), rel=1e-5)


def test_padding_becomes_certain_blanks():
    log_probs = noise(2, 4, 3).log_softmax(2)
    out = certain_blanks(log_probs, torch.tensor([4, 1]))
    assert torch.equal(out[0], log_probs[0]) and torch.equal(out[1, 0], log_probs[1, 0])
    assert out[1, 1:].exp().tolist() == [[1.0, 0.0, 0.0]] * 3
