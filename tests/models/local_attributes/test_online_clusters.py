# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Online clusters: an update by hand, centroids without frames, evaluation, state, processes."""

import pytest
import torch
from torch import distributed as dist

from sertl.models.local_attributes.online_clusters import OnlineClusters


def small():
    """Two centroids on a line, at 0 and 10."""
    clusters = OnlineClusters(1, 2, decay=0.9)
    clusters.sums.copy_(torch.tensor([[0.0], [10.0]]))
    return clusters


def test_start_is_standardised_over_centroids():
    clusters = OnlineClusters(5, 64)
    centroids = clusters.centroids()
    torch.testing.assert_close(centroids.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(centroids.std(0, correction=0), torch.ones(5), atol=1e-5, rtol=0)


def test_update_by_hand():
    """Frames 1, 2, 3 go to centroid 0, frame 9 to centroid 1.

    s0 = 0.9 * 0 + 0.1 * 6 = 0.6, n0 = 0.9 + 0.1 * 3 = 1.2, c0 = 0.5;
    s1 = 0.9 * 10 + 0.1 * 9 = 9.9, n1 = 0.9 + 0.1 = 1, c1 = 9.9.
    """
    clusters = small()
    frames = torch.tensor([[1.0], [2.0], [9.0], [3.0]])
    labels = clusters(frames)
    assert labels.tolist() == [0, 0, 1, 0]
    clusters.add(frames, labels)
    assert clusters.centroids().flatten().tolist() == [0.0, 10.0]  # not before the update
    clusters.update()
    assert clusters.counts.tolist() == pytest.approx([1.2, 1.0])
    assert clusters.centroids().flatten().tolist() == pytest.approx([0.5, 9.9])
    before = clusters.sums.clone()
    clusters.update()  # nothing new: nothing moves
    assert torch.equal(clusters.sums, before)


def test_two_micro_batches_are_one():
    one, two = small(), small()
    frames = torch.tensor([[1.0], [2.0], [9.0], [3.0]])
    one.add(frames, one(frames))
    for part in frames.split([1, 3]):
        two.add(part, two(part))
    one.update()
    two.update()
    torch.testing.assert_close(one.sums, two.sums)
    torch.testing.assert_close(one.counts, two.counts)


def test_centroid_without_frames_stays():
    clusters = small()
    frames = torch.tensor([[1.0], [2.0]])
    clusters.add(frames, clusters(frames))
    clusters.update()
    assert clusters.sums[1].item() == 10.0 and clusters.counts[1].item() == 1.0
    assert clusters.counts[0].item() == pytest.approx(1.1)


def test_evaluation_never_updates():
    clusters = small().eval()
    frames = torch.tensor([[1.0], [2.0]])
    clusters.add(frames, clusters(frames))
    clusters.update()
    assert clusters.centroids().flatten().tolist() == [0.0, 10.0]


def test_state_holds_sums_counts_and_idleness_alone():
    first, second = OnlineClusters(3, 4), OnlineClusters(3, 4)
    assert sorted(first.state_dict()) == ["counts", "idle", "sums"]
    first.add(torch.randn(9, 3), torch.arange(9) % 4)
    first.update()
    second.load_state_dict(first.state_dict())
    frames = torch.randn(20, 3)
    assert torch.equal(first(frames), second(frames))
    assert torch.equal(first.centroids(), second.centroids())


def test_sums_run_over_processes(monkeypatch):
    """A second process with the same frames: 0.1 * (2 * 3), n = 0.9 + 0.1 * 4."""
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "all_reduce", lambda flat: flat.mul_(2))
    clusters = small()
    frames = torch.tensor([[1.0], [2.0]])
    clusters.add(frames, clusters(frames))
    clusters.update()
    assert clusters.sums.flatten().tolist() == pytest.approx([0.6, 10.0])
    assert clusters.counts.tolist() == pytest.approx([1.3, 1.0])


def test_refusals():
    with pytest.raises(ValueError, match="at least 2 centroids, got 1"):
        OnlineClusters(3, 1)
    with pytest.raises(ValueError, match="decay must be in"):
        OnlineClusters(3, 4, decay=1.0)


def test_a_dead_centroid_starts_anew_beside_the_fullest():
    """Two of three get no frame for three updates; the first is split, the farther one too."""
    clusters = OnlineClusters(1, 3, decay=0.5, patience=3)
    clusters.set(torch.tensor([[1.0], [50.0], [90.0]]))
    frames = torch.full((8, 1), 2.0)
    for update in range(1, 4):
        clusters.add(frames, clusters(frames))
        clusters.update()
        alive = clusters.centroids().flatten() < 10
        assert alive.tolist() == ([True, False, False] if update < 3 else [True, True, False])
    first, second, _ = clusters.centroids().flatten().tolist()
    assert first != second and first == pytest.approx(second, rel=0.1)
    assert clusters.counts[0] == clusters.counts[1]
    assert clusters.idle.tolist() == [0.0, 0.0, 3.0]  # half of the codebook at a time, at most
    clusters = OnlineClusters(1, 3, decay=0.5)  # patience 0
    clusters.set(torch.tensor([[1.0], [50.0], [90.0]]))
    for _ in range(10):
        clusters.add(frames, clusters(frames))
        clusters.update()
    assert clusters.centroids().flatten()[1:].tolist() == [50.0, 90.0]
