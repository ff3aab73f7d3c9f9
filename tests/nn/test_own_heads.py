# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Logits of several heads in one output."""

import torch

from sertl.nn.own_heads import CLOSED, log_probs, of_head

HEADS = (0, 1, 0)


def test_classes_of_other_heads_are_closed():
    logits = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    own = of_head(logits, HEADS, torch.tensor([0, 1]))
    assert own.tolist() == [[1.0, CLOSED, 3.0], [CLOSED, 5.0, CLOSED]]
    assert own.softmax(dim=1)[0, 1] == 0.0


def test_probabilities_sum_to_one_in_each_head():
    logits = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    prob = log_probs(logits, HEADS).exp()
    torch.testing.assert_close(prob[..., 1], torch.ones(2, 5))
    torch.testing.assert_close(prob[..., [0, 2]], logits[..., [0, 2]].softmax(dim=-1))
    torch.testing.assert_close(log_probs(logits, None), logits.log_softmax(dim=-1))
