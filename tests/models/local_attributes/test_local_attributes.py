# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Adapter training without labels: what counts, what moves, targets and their diagnostics."""

import pytest
import torch
from fakes import LABELS
from torch import nn
from wap_batches import ADAPTER, SIZE, make, make_batch

from sertl.data.batch import Batch
from sertl.errors import SertlError
from sertl.models.base import Spec
from sertl.models.local_attributes.ema import momentum_at
from sertl.models.local_attributes.local_attributes import LocalAttributes
from sertl.models.local_attributes.target_diagnostics import Window


class Given(nn.Module):
    """Stands for the student: returns a tensor, and keeps what it was shown."""

    def __init__(self, output):
        super().__init__()
        self.output = nn.Parameter(output)

    def forward(self, frames, lens):
        self.shown = frames.detach()
        return self.output


def masked_frames(model, batch):
    return model.draw_mask(batch, batch.lens, int(batch.lens.max()))


@pytest.mark.parametrize("distil", ["regress", "soft"])
def test_the_teacher_gets_no_gradient_and_stays_in_evaluation_mode(distil):
    model = make(distil=distil, wap={**ADAPTER, "dropout": 0.5})
    loss, _ = model(make_batch())
    loss.backward()
    teachers = [n for n, _ in model.named_parameters() if "teacher" in n]
    assert teachers
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == ("teacher" not in name and name != "mix.scores")
        assert (parameter.grad is not None) == parameter.requires_grad, name
    assert not model.teacher.training and model.student.training


def test_teacher_moves_by_the_schedule():
    model = make(momentum=[0.5, 1.0], momentum_updates=3)
    first = model.teacher.blocks[0].ffn_in.bias.clone()
    with torch.no_grad():
        model.student.blocks[0].ffn_in.bias.add_(1.0)
    model.after_step(2, 10)  # the middle of three: momentum 0.75
    torch.testing.assert_close(model.teacher.blocks[0].ffn_in.bias, first + 0.25)
    assert momentum_at(2, 10, 0.5, 1.0, 3) == 0.75


def test_only_masked_frames_move_the_mask_loss_and_the_teacher_sees_no_mask():
    model, batch = make(distil="none"), make_batch()
    mask = masked_frames(model, batch)
    assert mask[0].any() and not mask[0, :9].all() and not mask[1, 5:].any()
    seen = []
    model.teacher.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    model.student = Given(torch.randn(3, 12, SIZE))
    loss, _ = model(batch)
    loss.backward()
    moved = model.student.output.grad.abs().sum(dim=2) > 0
    assert torch.equal(moved, mask)
    whole = torch.nn.functional.layer_norm(batch.feats, (SIZE,)).mean(dim=1)
    torch.testing.assert_close(seen[0], whole)
    torch.testing.assert_close(model.student.shown[~mask], whole[~mask])
    assert (model.student.shown[mask] == model.mask_vector).all()


@pytest.mark.parametrize(("where", "everywhere"), [("all", True), ("masked", False)])
def test_frames_of_the_distillation(where, everywhere):
    model, batch = make(mask_loss=False, distil_on=where), make_batch()
    mask = masked_frames(model, batch)
    valid = torch.arange(12) < batch.lens[:, None]
    model.student = Given(torch.randn(3, 12, SIZE))
    model(batch)[0].backward()
    moved = model.student.output.grad.abs().sum(dim=2) > 0
    assert torch.equal(moved, valid if everywhere else mask)


def test_mask_loss_by_hand():
    """A classifier that gives every cluster the same score: ln K, whatever the labels."""
    model = make(distil="none")
    nn.init.zeros_(model.classify.weight)
    nn.init.zeros_(model.classify.bias)
    loss, stats = model(make_batch())
    assert loss.item() == pytest.approx(1.6094379)  # ln 5
    assert stats["predicted_perplexity"].item() == pytest.approx(5.0, abs=1e-4)
    assert stats["weight"].item() == 26  # 9 + 5 + 12 frames


def test_losses_are_added_with_the_weight():
    loss, stats = make(distil_weight=10.0)(make_batch())
    assert loss.item() == pytest.approx(
        stats["loss_mask"].item() + 10 * stats["loss_distil"].item(), rel=1e-5
    )


@pytest.mark.parametrize(
    "conf",
    [
        {},
        {"distil": "soft", "wap": {**ADAPTER, "width": 4}},
        {"wap": {**ADAPTER, "norm": "post"}, "update_on": "masked"},
    ],
)
def test_padding_counts_for_nothing(conf):
    """Longer padding full of noise: the same losses, diagnostics, centroids."""
    plain, noisy = make(**conf), make(**conf)
    first = plain(make_batch())
    second = noisy(make_batch(extra=7, noise=100.0))
    torch.testing.assert_close(first[0], second[0], rtol=1e-4, atol=1e-5)
    for name, value in first[1].items():
        torch.testing.assert_close(value, second[1][name], rtol=1e-4, atol=1e-5)
    plain.after_step(1, 10)
    noisy.after_step(1, 10)
    torch.testing.assert_close(
        plain.online_clusters.sums, noisy.online_clusters.sums, rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(plain.online_clusters.counts, noisy.online_clusters.counts)
    torch.testing.assert_close(plain.window.sums, noisy.window.sums, rtol=1e-4, atol=1e-3)


def test_an_utterance_alone_and_in_a_batch_and_cut_batches():
    """Masks follow from the utterance, and the centroids move once per update."""
    whole, cut = make(), make()
    batch = make_batch()
    whole(batch)
    for i, n in enumerate(batch.lens.tolist()):
        cut(
            Batch(utt=[batch.utt[i]], feats=batch.feats[i : i + 1, :, :n], lens=batch.lens[i, None])
        )
    whole.after_step(1, 10)
    cut.after_step(1, 10)
    torch.testing.assert_close(
        whole.online_clusters.sums, cut.online_clusters.sums, rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(whole.window.sums, cut.window.sums, rtol=1e-4, atol=1e-4)


def test_masks_change_with_the_update_but_not_on_dev():
    model, batch = make(), make_batch(lens=(40, 30))
    first = masked_frames(model, batch)
    assert torch.equal(first, masked_frames(model, batch))
    model.after_step(1, 10)
    assert not torch.equal(first, masked_frames(model, batch))
    model.eval()
    first = masked_frames(model, batch)
    model.after_step(2, 10)
    assert torch.equal(first, masked_frames(model, batch))


def test_targets_are_float32_under_autocast():
    plain, half = make(), make()
    plain(make_batch())
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = half(make_batch())
    loss.backward()
    torch.testing.assert_close(half.online_clusters.new_sums, plain.online_clusters.new_sums)
    assert torch.equal(half.online_clusters.new_counts, plain.online_clusters.new_counts)
    assert half.mask_vector.grad.isfinite().all()


def test_short_utterances():
    """One frame cannot be normalised and counts for nothing; 2 < span are not masked."""
    model = make()
    loss, stats = model(make_batch(lens=(1,)))
    loss.backward()
    assert loss.item() == 0.0 and stats["weight"].item() == 0.0
    loss, stats = model(make_batch(lens=(2, 1)))
    assert stats["loss_mask"].item() == 0.0 and stats["weight"].item() == 2.0
    assert loss.isfinite()


def test_evaluation_moves_nothing():
    model = make(distil="soft").eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    loss, stats, outputs = model.evaluate(make_batch())
    assert loss.isfinite() and outputs == {} and "loss_mask" in stats
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    assert not model.online_clusters.new_counts.any() and not model.window.new_sums.any()
    assert not model.distil.new_count.any()


@pytest.mark.parametrize("distil", ["regress", "soft", "none"])
def test_overfits_one_batch(distil):
    model, batch = (
        make(distil=distil, centroids=8, wap={**ADAPTER, "ffn": 32}),
        make_batch(lens=(12, 9, 10)),
    )
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    losses = []
    for _ in range(100):
        loss, stats = model(batch)
        losses.append(stats["loss_mask"].item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.after_step(1, 100)
    assert losses[-1] < 0.3 * losses[0]
    assert stats["mask_accuracy"] > 0.8


def test_a_constant_teacher_is_named():
    model = make()
    model.window = Window(SIZE, 5, updates=1, frames=1)
    batch = make_batch()
    batch.feats = torch.ones_like(batch.feats)
    for parameter in model.teacher.position.parameters():
        nn.init.zeros_(parameter)  # else the ends of an utterance differ
    model(batch)
    with pytest.raises(SertlError, match=r"teacher_spread of the targets is .* at update 1, below"):
        model.after_step(1, 100)


def test_a_teacher_that_tells_no_utterances_apart_is_named():
    """Frames differ, utterances do not."""
    model = make()
    model.window = Window(SIZE, 5, updates=1, frames=1)
    batch = make_batch()
    batch.lens = torch.full_like(batch.lens, int(batch.lens[0]))
    batch.feats = batch.feats[:1].expand_as(batch.feats)[:, :, : int(batch.lens[0])].contiguous()
    model(batch)
    with pytest.raises(SertlError, match=r"teacher_utt_spread of the targets is .* at update 1"):
        model.after_step(1, 100)


def test_one_cluster_for_all_is_named_after_a_while(caplog):
    model = make(centroids=40)
    model.window = Window(SIZE, 40, updates=1, frames=1)
    model.online_clusters.sums.add_(1000.0)
    model.online_clusters.sums[3] = 0.0
    model(make_batch())
    model.after_step(10, 100)  # not yet
    model(make_batch())
    with pytest.raises(SertlError, match="perplexity of the targets is 1 at update 11, below 2"):
        model.after_step(11, 100)
    model.online_clusters.sums.copy_(torch.randn(40, SIZE))
    model.online_clusters.sums[3:] += 1000.0  # three are left, of 40
    model.online_clusters.counts.fill_(1.0)
    model(make_batch())
    model.after_step(12, 100)
    assert "may be collapsing" in caplog.text


def test_separate_clusters_are_found():
    """Frames of 8 far-off groups: more than 4 centroids stay in use."""
    model = make(centroids=32, wap={**ADAPTER, "blocks": 1, "position": "none"})
    model.window = Window(SIZE, 32, updates=20, frames=100)
    generator = torch.Generator().manual_seed(0)
    groups = 5 * torch.randn(8, SIZE, generator=generator)
    for update in range(1, 21):
        which = torch.randint(8, (4, 1, 30), generator=generator)
        feats = groups[which] + 0.05 * torch.randn(4, 1, 30, SIZE, generator=generator)
        utts = [f"{update}-{i}" for i in range(4)]
        model(Batch(utt=utts, feats=feats.repeat(1, 2, 1, 1), lens=torch.full((4,), 30)))
        model.after_step(update, 20)
    assert 4.0 < model.diagnostics()["perplexity"] <= 32
    assert model.facts()["target_diagnostics"]["perplexity"] > 4.0


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"distil": "regres"}, "did you mean 'regress'"),
        ({"distil_on": "mask"}, "did you mean 'masked'"),
        ({"update_on": "every"}, "update_on: 'every' is not all . masked"),
        ({"distil": "none", "mask_loss": False}, "leave nothing to learn"),
        ({"mask_prob": 0.0}, "mask_prob: 0.0 is not a number above 0, at most 1"),
        ({"centroids": 1}, "at least 2 centroids, got 1"),
    ],
)
def test_refusals(conf, message):
    with pytest.raises(SertlError, match=message):
        make(**conf)


def test_trainable_parameters():
    """Blocks of 12 D^2 + 13 D, weights, convolution 32 D, classifier, regression, mask vector."""
    model = LocalAttributes(Spec(labels=LABELS, hidden_size=64, layers=[24]))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    heads = (64 * 256 + 256) + (64 * 64 + 64)
    assert trained == 3 * (12 * 64**2 + 13 * 64) + 3 + 32 * 64 + heads + 64


def test_masks_count_from_the_updates_of_this_phase():
    model, batch = make(), make_batch()
    first = masked_frames(model, batch)
    model.after_step(1, 10)
    later = masked_frames(model, batch)
    model.initialise([])
    assert torch.equal(masked_frames(model, batch), first) and not torch.equal(later, first)
