# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What the student learns from: clusters on line and off, normed frames, a rising temperature."""

import pytest
import torch
from torch import nn
from wap_batches import SIZE, make, make_batch

from sertl.data.batch import Batch
from sertl.errors import SertlError


def test_offline_clusters_are_those_of_scikit_learn_and_stay():
    """Four far-off groups: k-means finds them before the first update, and never moves again."""
    generator = torch.Generator().manual_seed(0)
    groups = 5 * torch.randn(4, SIZE, generator=generator)
    which = torch.arange(4).repeat(6)[None, None].expand(3, 2, -1)
    feats = groups[which] + 0.01 * torch.randn(3, 2, 24, SIZE, generator=generator)
    batch = Batch(utt=["a", "b", "c"], feats=feats, lens=torch.tensor([24, 20, 24]))
    model = make(clusters="offline", centroids=4)
    model.initialise([batch])
    before = model.online_clusters.centroids().clone()
    labels, _ = model.clusters(batch)
    assert (labels[1, 20:] == -1).all()
    for row in labels:
        own = row[row >= 0]
        assert len({(g % 4, int(c)) for g, c in enumerate(own)}) == 4  # a cluster for each group
    model(batch)
    model.after_step(1, 10)
    assert torch.equal(model.online_clusters.centroids(), before)
    assert torch.equal(model.clusters(batch)[0], labels)  # nor do labels follow the teacher


def test_offline_clusters_need_enough_frames():
    with pytest.raises(SertlError, match="26 frames cannot make 40 clusters"):
        make(clusters="offline", centroids=40).initialise([make_batch()])
    with pytest.raises(SertlError, match="did you mean 'offline'"):
        make(clusters="ofline")
    with pytest.raises(SertlError, match="did you mean 'frame'"):
        make(target_norm="frames")


def test_clusters_of_real_frames():
    model, batch = make().eval(), make_batch()
    labels, frames = model.clusters(batch)
    assert labels.shape == (3, 12) and frames.shape == (3, 12, SIZE)
    assert torch.equal(labels >= 0, torch.arange(12) < batch.lens[:, None])
    again, _ = model.clusters(make_batch(extra=4, noise=50.0))
    assert torch.equal(again[:, :12], labels) and (again[:, 12:] == -1).all()


def corpus_labels(model, batch):
    frames, lens, valid = model.frames(batch)
    return model.targets(frames, lens, valid)[2]


def test_the_way_of_the_whole_teacher_changes_no_label_of_a_corpus():
    """What it adds to all frames alike would bring them, target by target, into one cluster."""
    model, batch = make(target_norm="corpus", codebook="frames"), make_batch()
    model.initialise([batch])
    labels = corpus_labels(model, batch)
    model.teacher.register_forward_hook(lambda module, given, out: 2.0 * out + 30.0)
    assert torch.equal(corpus_labels(model, batch), labels)


def test_offline_labels_do_not_depend_on_the_batch():
    model, batch = make(target_norm="corpus", clusters="offline", centroids=4), make_batch()
    model.initialise([batch])
    labels = corpus_labels(model, batch)
    model.train()
    first = Batch(utt=batch.utt[:2], feats=batch.feats[:2], lens=batch.lens[:2])
    own = corpus_labels(model, first)
    assert torch.equal(own, labels[: len(own)])


def after_an_update(model):
    """Which centroids an update moves, and how many frames each has: of all, of the masked."""
    before = model.online_clusters.centroids().clone()
    batch = make_batch()
    frames, lens, valid = model.frames(batch)
    mask = model.draw_mask(batch, lens, int(lens.max())) & valid
    labels = model.targets(frames, lens, valid)[2]
    model(batch)
    model.after_step(1, 10)
    rows = (model.online_clusters.centroids() - before).abs().sum(dim=1) > 1e-6
    of_masked = torch.bincount(labels[mask[valid]], minlength=5)
    return rows, torch.bincount(labels, minlength=5), of_masked


@pytest.mark.parametrize("where", ["all", "masked"])
def test_frames_that_move_the_centroids(where):
    """The sums that OnlineClusters gets are those of the frames chosen, and they move it."""
    model = make(update_on=where, cluster_decay=0.5)
    counts = model.online_clusters.counts.clone()
    rows, every, masked = after_an_update(model)
    assert rows.any() and not torch.equal(every, masked)
    chosen = (every if where == "all" else masked).to(counts.dtype)
    expected = torch.where(chosen > 0, 0.5 * counts + 0.5 * chosen, counts)
    torch.testing.assert_close(model.online_clusters.counts, expected)


def test_the_student_learns_the_normed_targets():
    """Regression sees the teacher's frames of zero mean and unit variance, not the raw ones."""
    model, batch = make(mask_loss=False), make_batch()
    given = {}
    model.distil = Spy(given)
    model(batch)
    frames, lens, valid = model.frames(batch)
    raw, normed, _ = model.targets(frames, lens, valid)
    assert torch.equal(given["raw"], raw[valid]) and torch.equal(given["normed"], normed)
    assert not torch.allclose(raw[valid], normed, atol=0.1)
    first = normed[: int(lens[0])]
    torch.testing.assert_close(first.mean(dim=0), torch.zeros(SIZE), atol=1e-4, rtol=0)


def test_progress_runs_from_0_to_1():
    """By it the temperature of the soft attributes rises."""
    model, batch, given = make(mask_loss=False), make_batch(), {}
    model.distil = Spy(given)
    for update, expected in ((0, 0.0), (5, 0.5), (10, 1.0)):
        if update:
            model.after_step(update, 10)
        model(batch)
        assert given["progress"] == pytest.approx(expected)


class Spy(nn.Module):
    """A distillation that keeps what it was given."""

    def __init__(self, given):
        super().__init__()
        self.given = given

    def forward(self, student, raw, normed, progress):
        self.given |= {"raw": raw, "normed": normed, "progress": progress}
        return student.sum() * 0.0

    def after_step(self, momentum):
        pass


def test_offline_clusters_are_of_the_normed_input_frames():
    """What k-means gets is what `targets` looks its centroids up with."""
    model, batch = make(clusters="offline", centroids=4), make_batch()
    model.initialise([batch])
    frames, lens, valid = model.frames(batch)
    clustered = model.target_norm(frames, valid)[valid]
    nearest = torch.cdist(clustered, model.online_clusters.centroids()).argmin(dim=1)
    assert torch.equal(model.targets(frames, lens, valid)[2], nearest)
    for cluster in nearest.unique():  # each centroid lies amid its own frames
        own = clustered[nearest == cluster].mean(dim=0)
        assert (own - model.online_clusters.centroids()[cluster]).norm() < 1.0
