# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The utterance's target: means of the frames that count, standardised over the corpus."""

import torch
from wap_batches import make, make_batch

from sertl.models.local_attributes.utterance_target import UtteranceTarget


def test_by_hand():
    """Teacher's means 2 and 6: -1 and 1 over the corpus. A student that says 0 loses 0.5 each."""
    target = UtteranceTarget(1, 1.0)
    with torch.no_grad():
        target.student_head.weight.zero_()
        target.student_head.bias.zero_()
    raw = torch.tensor([[[1.0], [3.0]], [[6.0], [99.0]]])
    valid = torch.tensor([[True, True], [True, False]])
    loss = target(torch.zeros(3, 1), raw, valid)
    torch.testing.assert_close(loss, torch.tensor(0.5), atol=1e-4, rtol=0)
    with torch.no_grad():  # knows the answer: (mean - 4) / 2 of the same frames
        target.student_head.weight.fill_(0.5)
        target.student_head.bias.fill_(-2.0)
    assert target(torch.tensor([[1.0], [3.0], [6.0]]), raw, valid) < 1e-4


def test_it_is_a_part_of_the_loss_and_teaches_the_student():
    model, plain = make(utterance_weight=2.0), make()
    batch = make_batch()
    loss, stats = model(batch)
    assert stats["loss_utterance"] > 0 and "loss_utterance" not in plain(batch)[1]
    loss.backward()
    assert model.utterance.student_head.weight.grad.abs().sum() > 0
    model.after_step(1, 10)
    assert model.utterance.norm.known == 1
