# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A fair sample of frames that come in batches, and clusters of it."""

import numpy as np
import pytest
import torch

import sertl.cluster.frames as module
from sertl.cluster.frames import FrameSample
from sertl.cluster.kmeans import learn
from sertl.errors import SertlError


def test_every_frame_is_as_likely_to_stay(monkeypatch):
    """20 of 100 frames in 10 batches: over many seeds each stays in a fifth of the cases."""
    monkeypatch.setattr(module, "MAX_FRAMES", 20)
    stayed = torch.zeros(100)
    for seed in range(400):
        sample = FrameSample(seed)
        for batch in torch.arange(100.0).split(10):
            sample.add(batch[:, None])
        assert sample.total == 20
        stayed[sample.sample(20, np.random.default_rng(0)).astype(int)[:, 0]] += 1
    share = stayed / 400
    assert 0.1 < share.min() and share.max() < 0.3  # 0.2 and five standard deviations
    assert abs(share[:50].mean() - 0.2) < 0.02


def test_it_stays_in_one_place_as_it_grows():
    """Blocks of memory that grow and are kept by the allocator add up to many times the sample."""
    sample, places = FrameSample(0), set()
    for batch in torch.arange(100.0).split(10):
        sample.add(batch[:, None])
        places.add(sample._room.data_ptr())
    assert len(places) == 1


def test_blocks_hold_every_frame_once():
    sample = FrameSample(0)
    for batch in torch.arange(25.0).split(10):
        sample.add(batch[:, None])
    assert sample.total == 25
    blocks = list(sample.blocks(10, np.random.default_rng(0)))
    assert [len(block) for block in blocks] == [10, 10, 5]
    assert sorted(np.concatenate(blocks)[:, 0]) == list(range(25))
    drawn = sample.sample(8, np.random.default_rng(0))
    assert len(set(drawn[:, 0])) == 8 and len(sample.sample(99, np.random.default_rng(0))) == 25


def test_far_off_groups_get_a_centroid_each_and_the_seed_decides():
    groups = torch.tensor([[0.0, 9.0], [9.0, 0.0], [-9.0, -9.0]])
    frames = groups.repeat(30, 1) + 0.01 * torch.randn(90, 2)

    def centroids(seed):
        sample = FrameSample(seed)
        for batch in frames.split(7):
            sample.add(batch)
        return torch.from_numpy(learn(sample, 3, seed, restarts=3)[0])

    found = centroids(5)
    assert found.dtype == torch.float32
    nearest = (groups[:, None] - found[None]).norm(dim=2)
    assert nearest.min(dim=1).values.max() < 0.1
    assert torch.equal(found, centroids(5))


def test_too_few_frames():
    sample = FrameSample(0)
    sample.add(torch.zeros(3, 2))
    with pytest.raises(SertlError, match="3 frames cannot make 4 clusters"):
        learn(sample, 4, 0)
