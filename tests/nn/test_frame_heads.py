# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Frame heads and their loss, and the BiLSTM: by hand, and padding without effect."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sertl.nn.bilstm import BiLSTM
from sertl.nn.frame_heads import FrameHeads, frame_cross_entropy


def test_sizes_and_parameters():
    heads = FrameHeads(8, [3, 5], hidden=4)
    assert [out.shape for out in heads(torch.randn(7, 8))] == [(7, 3), (7, 5)]
    # 8 * 4 + 4 for each hidden layer, then 4 * 3 + 3 and 4 * 5 + 5
    assert sum(p.numel() for p in heads.parameters()) == 2 * 36 + 15 + 25
    with pytest.raises(ValueError, match="at least one label set"):
        FrameHeads(8, [])


def test_loss_by_hand():
    """Two frames, two sets of 2 and 4 clusters with flat logits: log 2 and log 4 per frame."""
    logits = [torch.zeros(2, 2), torch.zeros(2, 4)]
    labels = torch.tensor([[0, 3], [1, 0]])
    loss, weight = frame_cross_entropy(logits, labels)
    assert loss.item() == pytest.approx((math.log(2) + math.log(4)) / 2) and weight.item() == 2
    added, _ = frame_cross_entropy(logits, labels, "sum")
    assert added.item() == pytest.approx(math.log(2) + math.log(4))
    with pytest.raises(ValueError, match="reduce is 'max'"):
        frame_cross_entropy(logits, labels, "max")


def test_cut_into_pieces_it_adds_up():
    torch.manual_seed(0)
    logits, labels = [torch.randn(9, 3), torch.randn(9, 5)], torch.randint(3, (9, 2))
    whole, _ = frame_cross_entropy(logits, labels)
    parts = [
        frame_cross_entropy([x[i] for x in logits], labels[i]) for i in ([0, 1], [2], range(3, 9))
    ]
    total = sum(value * weight for value, weight in parts) / sum(weight for _, weight in parts)
    torch.testing.assert_close(total, whole)


def test_no_frame_gives_zero_with_a_gradient():
    heads = FrameHeads(8, [3])
    frames = torch.randn(0, 8, requires_grad=True)
    loss, weight = frame_cross_entropy(heads(frames), torch.zeros(0, 1, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0.0 and weight.item() == 0.0
    assert all(p.grad.isfinite().all() for p in heads.parameters())


def test_bilstm_never_sees_the_padding():
    torch.manual_seed(0)
    lstm = BiLSTM(4, 3)
    feats, lens = torch.randn(2, 7, 4), torch.tensor([3, 7])
    expected = torch.zeros(2, 9, 6)
    expected[0, :3] = lstm(feats[:1, :3], lens[:1])[0]
    expected[1, :7] = lstm(feats[1:], lens[1:])[0]
    for noise in (0.0, 1e4, float("nan")):
        padded = torch.full((2, 9, 4), noise)
        padded[0, :3], padded[1, :7] = feats[0, :3], feats[1]
        torch.testing.assert_close(lstm(padded, lens), expected)
    assert lstm.output_size == 6


def test_bilstm_equals_torchs_on_a_packed_sequence():
    torch.manual_seed(0)
    ours, theirs = BiLSTM(4, 3), nn.LSTM(4, 3, batch_first=True, bidirectional=True)
    back = {f"{name}_reverse": value for name, value in ours.back.state_dict().items()}
    theirs.load_state_dict(ours.ahead.state_dict() | back)
    feats, lens = torch.randn(3, 9, 4), torch.tensor([3, 9, 1])
    packed = pack_padded_sequence(feats, lens, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)
    torch.testing.assert_close(ours(feats, lens), expected)
