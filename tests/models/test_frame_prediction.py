# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Frame heads and their loss, and the BiLSTM: by hand, and padding without effect."""

import math

import pytest
import torch
from fakes import build_model
from gmp_batches import LABELS, LENS, SIZE, SPEC, make_batch
from torch.nn import functional as F

from sertl.errors import SertlError
from sertl.models.base import Spec
from sertl.models.frame_prediction import FrameHeads, fit_labels, frame_cross_entropy
from sertl.train.checkpoint import init_from, trained_state


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


def test_loss_is_that_of_masked_frames_by_hand(make):
    model = make("frame_prediction", mask_prob=0.5, span=4).eval()
    batch = make_batch()
    loss, stats = model(batch)
    lens = torch.tensor(LENS)
    mask = model.draw_mask(batch, lens)
    (hidden,), _ = model.upstream(batch.wav, batch.wav_lens, [3], (mask, model.mask_vector))
    total = 0.0
    for head, own in zip(model.frame_heads.heads, batch.pseudo.unbind(1), strict=True):
        total = total + F.cross_entropy(head(hidden[mask]), own[mask])
    torch.testing.assert_close(loss, total / 2)
    assert stats["weight"].item() == mask.sum() > 0
    assert not (mask & (torch.arange(30) >= lens[:, None])).any()


def test_labels_of_unmasked_and_padded_frames_do_not_matter(make):
    model = make("frame_prediction").eval()
    batch = make_batch()
    loss, _ = model(batch)
    mask = model.draw_mask(batch, torch.tensor(LENS))
    valid = batch.pseudo[:, :1] >= 0
    batch.pseudo = torch.where(~mask[:, None] & valid, 7 - batch.pseudo.clamp(0, 7), batch.pseudo)
    assert torch.equal(model(batch)[0], loss)
    batch.pseudo = torch.where(mask[:, None], (batch.pseudo + 1) % 8, batch.pseudo)
    assert not torch.equal(model(batch)[0], loss)


@pytest.mark.parametrize("conf", [{}, {"frames": "all"}, {"frames": "all", "mask_prob": 0.0}])
def test_padding_and_micro_batches_change_nothing(make, conf):
    model = make("frame_prediction", **conf).train()
    loss, stats = model(make_batch())
    padded, _ = model(make_batch(extra=9))
    torch.testing.assert_close(padded, loss, rtol=1e-5, atol=1e-6)
    parts = [model(make_batch(rows=rows)) for rows in ([1], [2, 0])]
    weight = sum(s["weight"] for _, s in parts)
    assert weight == stats["weight"]
    pieces = sum(value * s["weight"] for value, s in parts) / weight
    torch.testing.assert_close(pieces, loss, rtol=1e-5, atol=1e-6)


def test_which_frames_count(make):
    every = make("frame_prediction", frames="all", mask_prob=0.0).eval()
    assert every(make_batch())[1]["weight"].item() == sum(LENS)
    assert every.mask_vector is None
    masked = make("frame_prediction", frames="all", mask_prob=0.5).eval()
    assert masked(make_batch())[1]["weight"].item() == sum(LENS)
    with pytest.raises(SertlError, match="leaves nothing to predict"):
        make("frame_prediction", mask_prob=0.0)


def test_masks_follow_update_and_utterance(make):
    model = make("frame_prediction").train()
    batch, lens = make_batch(), torch.tensor(LENS)
    first = model.draw_mask(batch, lens)
    assert torch.equal(first, model.draw_mask(batch, lens))
    one = make_batch(rows=[2])
    assert torch.equal(model.draw_mask(one, lens[2:])[0], first[2, :25])
    model.after_step(1, 10)
    assert not torch.equal(first, model.draw_mask(batch, lens))
    model.eval()
    dev = model.draw_mask(batch, lens)
    model.after_step(2, 10)
    assert torch.equal(dev, model.draw_mask(batch, lens))
    model.train().initialise([])  # a phase that starts from these weights counts anew
    assert torch.equal(first, model.draw_mask(batch, lens))


def test_mask_vector_is_the_encoders_own_and_learns(make):
    model = make("frame_prediction")
    assert torch.equal(model.mask_vector, model.upstream.model.mask_emb)
    model.train()
    model(make_batch())[0].backward()
    assert model.mask_vector.grad.abs().sum() > 0
    assert model.upstream.model.mask_emb.grad is None  # the copy learns


@pytest.mark.parametrize("samples", [320, 800, 1121, 16000, 16001, 16319, 16320])
def test_as_many_labels_as_frames(make, samples):
    """A frame count from the dump is the model's, for whole clips and for crops out of them."""
    upstream = make("frame_prediction").upstream
    wav = torch.randn(1, samples) * 0.1
    _, frames = upstream(wav, torch.tensor([samples]), [0])
    assert frames.item() == -(-samples // 320)
    labels = torch.arange(frames.item())
    for length in (320, 640, 3200):
        for start in range(0, samples - length + 1, 320):
            crop = wav[:, start : start + length]
            _, found = upstream(crop, torch.tensor([length]), [0])
            first = start // 320
            assert len(labels[first : first + length // 320]) == found.item()


def test_labels_and_frames_may_differ_by_one():
    labels = torch.tensor([[[1, 2, 3, -1]], [[4, 5, 6, 7]], [[8, 9, -1, -1]]])
    found = torch.tensor([2, 5, 2])
    fitted = fit_labels(labels, torch.tensor([3, 4, 2]), found, ["a", "b", "c"])
    assert fitted[:, 0].tolist() == [[1, 2, -1, -1, -1], [4, 5, 6, 7, -1], [8, 9, -1, -1, -1]]
    with pytest.raises(SertlError, match="utterance c has 2 frame labels, but 4 frames"):
        fit_labels(labels, torch.tensor([3, 4, 2]), torch.tensor([2, 5, 4]), ["a", "b", "c"])


def test_frame_labels_need_audio_and_label_sets(make):
    with pytest.raises(SertlError, match="needs the audio: input: wav"):
        build_model("frame_prediction", SPEC, None, {})
    bare = Spec(labels=LABELS, hidden_size=SIZE, layers=[3])
    with pytest.raises(SertlError, match="at least one label set"):
        build_model("frame_prediction", bare, make("frame_prediction").upstream, {})


def test_the_last_step_takes_the_encoder_and_leaves_the_heads(make):
    frames, main = make("frame_prediction"), make("gmp_tl", loss_conf={"margin_warmup": 0.5})
    with torch.no_grad():
        for parameter in frames.parameters():
            parameter.add_(0.01)
    frames.after_step(900, 1000)
    state = trained_state(frames)
    dropped = [n for n in state if not n.startswith("upstream.")]
    counts = init_from(main, state, "frames")
    assert counts["loaded"] == len(state) - len(dropped) and counts["dropped"] == len(dropped)
    assert all(n.startswith(("frame_heads.", "mask_", "updates_done")) for n in dropped)
    for name, tensor in main.upstream.state_dict().items():
        if f"upstream.{name}" in state:
            assert torch.equal(tensor, frames.upstream.state_dict()[name])
