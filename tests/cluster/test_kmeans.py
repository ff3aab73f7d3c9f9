# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""K-means from arks: points by hand, seeds, bounded memory, genders."""

import numpy as np
import pytest
import torch
from arks import clouds, write_feats
from sklearn.cluster import KMeans, MiniBatchKMeans, kmeans_plusplus

from sertl.cluster import kmeans, learning
from sertl.cluster.frames import Frames
from sertl.cluster.kmeans import learn, plus_plus
from sertl.cluster.learning import learn_codebook
from sertl.errors import SertlError
from sertl.fingerprint import ids_hash


@pytest.fixture
def frames(tmp_path):
    feats = clouds()
    return Frames(write_feats(tmp_path / "feats", feats), list(feats))


def test_points_by_hand(tmp_path):
    """Two groups far apart: their means are (0 + 2 + 4) / 3 = 2 and (100 + 102) / 2 = 101."""
    feats = {"a": [[0.0], [100.0], [2.0]], "b": [[102.0], [4.0]]}
    frames = Frames(write_feats(tmp_path / "feats", feats), ["a", "b"])
    centroids, inertias = learn(frames, 2, seed=0)
    assert sorted(centroids.flatten()) == pytest.approx([2.0, 101.0])
    # squared distances 4 + 0 + 4 and 1 + 1, over five frames
    assert inertias[-1] == pytest.approx(10 / 5)
    codebook = learn_codebook(frames, 2, seed=0)
    assert codebook.info["inertia"] == pytest.approx(2.0)
    assert (codebook.info["smallest"], codebook.info["largest"]) == (2, 3)
    assert codebook.info["dead"] == 0 and codebook.info["frames"] == 5


def test_a_dead_cluster_is_counted(tmp_path):
    """Three centroids for two different points: one is never the nearest."""
    feats = {"a": [[0.0], [5.0], [0.0], [5.0]]}
    frames = Frames(write_feats(tmp_path / "feats", feats), ["a"])
    assert learn_codebook(frames, 3, seed=0, restarts=1).info["dead"] == 1


def test_same_seed_same_centroids(frames):
    options = {"batch_frames": 40, "restarts": 2}
    first, _ = learn(frames, 5, seed=7, **options)
    assert np.array_equal(first, learn(frames, 5, seed=7, **options)[0])
    assert not np.array_equal(first, learn(frames, 5, seed=8, **options)[0])


def test_as_good_as_lloyd_in_memory(frames):
    whole = np.concatenate([frames.read(u) for u in frames.utts])
    reference = KMeans(5, n_init=10, random_state=0).fit(whole).inertia_ / len(whole)
    centroids, _ = learn(frames, 5, seed=1, batch_frames=60)
    distances = ((whole[:, None] - centroids) ** 2).sum(axis=2).min(axis=1)
    assert distances.mean() < 1.03 * reference


def test_restarts_choose_the_best_start(frames):
    starts = [learn(frames, 8, seed=s, restarts=1)[1][0] for s in range(5)]
    many = learn(frames, 8, seed=0, restarts=30)[1][0]
    assert many <= min(starts) + 1e-6


def test_start_is_as_good_as_scikit_learns():
    """Mean sum of distances over ten seeds; far-off data lose no digits; rows of the sample."""
    rng = np.random.default_rng(0)
    data = np.concatenate(list(clouds(60, size=8, centres=30).values())).astype(np.float32)
    data += 1000.0 * rng.normal(size=8).astype(np.float32)

    def cost(centroids):
        return ((data[:, None].astype(float) - centroids) ** 2).sum(axis=2).min(axis=1).sum()

    ours = [
        plus_plus(torch.from_numpy(data), 30, torch.Generator().manual_seed(s)).numpy()
        for s in range(10)
    ]
    theirs = [kmeans_plusplus(data, 30, random_state=s)[0] for s in range(10)]
    ratio = np.mean([cost(c) for c in ours]) / np.mean([cost(c) for c in theirs])
    assert 0.9 < ratio < 1.1
    for centroids in ours:
        assert len({tuple(c) for c in centroids} & {tuple(x) for x in data}) == 30


def test_memory_is_bounded_by_the_block(frames, monkeypatch):
    """However many frames there are, no more than a block of them is put together."""
    monkeypatch.setattr(kmeans, "BLOCK_FRAMES", 32)
    sizes = []
    plain = Frames.blocks

    def watched(self, size, rng):
        for block in plain(self, size, rng):
            sizes.append(len(block))
            yield block

    monkeypatch.setattr(Frames, "blocks", watched)
    learn(frames, 5, seed=0, batch_frames=16, restarts=1, passes=2)
    assert max(sizes) == 32 and len(sizes) >= 3


def test_blocks_hold_every_frame_once_in_another_order(frames):
    whole = np.concatenate([frames.read(u) for u in frames.utts])
    for size in (7, 64, 10_000):
        blocks = list(frames.blocks(size, np.random.default_rng(3)))
        assert all(len(b) == min(size, frames.total) for b in blocks[:-1])
        joined = np.concatenate(blocks)
        assert not np.array_equal(joined, whole)
        assert np.array_equal(np.sort(joined, axis=0), np.sort(whole, axis=0))


def test_sample_takes_no_frame_twice(frames):
    sample = frames.sample(50, np.random.default_rng(0))
    assert sample.shape == (50, 6) and len(np.unique(sample, axis=0)) == 50
    assert len(frames.sample(10**6, np.random.default_rng(0))) == frames.total


def test_genders_have_their_own_half(frames):
    genders = {utt: "fm"[utt[1] in "13"] for utt in frames.utts}
    codebook = learn_codebook(frames, 6, 0, genders, restarts=2)
    assert codebook.centroids.shape == (6, 6) and codebook.info["per_gender"]
    assert codebook.part("f") == slice(0, 3) and codebook.part("m") == slice(3, 6)
    assert codebook.part(None) == slice(0, 6)
    assert codebook.info["ids"] == {"n": 12, "hash": ids_hash(frames.utts)}
    with pytest.raises(SertlError, match="even number, got 5"):
        learn_codebook(frames, 5, 0, genders)
    with pytest.raises(SertlError, match="1 training utterances have no gender, e.g. s0-u00"):
        learn_codebook(frames, 6, 0, {**genders, "s0-u00": None})
    with pytest.raises(SertlError, match=r"no training utterance is of gender \['m'\]"):
        learn_codebook(frames, 6, 0, dict.fromkeys(genders, "f"))


def test_every_frame_is_seen_before_learning_ends(frames, monkeypatch):
    """However small the gains: blocks of 16 frames, of which three without a gain would do."""
    monkeypatch.setattr(kmeans, "BLOCK_FRAMES", 16)
    monkeypatch.setattr(kmeans, "BETTER", 1.0)  # nothing is good enough
    _, inertias = learn(frames, 5, seed=0, batch_frames=16, restarts=1)
    blocks = -(-frames.total // 16)
    assert len(inertias) == 1 + blocks + 1


def test_what_cannot_be_clustered(tmp_path, frames):
    with pytest.raises(SertlError, match="frames cannot make 100000 clusters"):
        learn(frames, 100_000, seed=0)
    for wrong in ({"clusters": 0}, {"restarts": 0}, {"passes": 0}, {"batch_frames": 1.5}):
        (name,) = wrong
        with pytest.raises(SertlError, match=f"{name}: .* is not a whole number of at least 1"):
            learn(frames, seed=0, **{"clusters": 4, **wrong})
    with pytest.raises(SertlError, match=r"lacks 1 of 13 utterances, e.g. \['nobody'\]"):
        Frames(frames.scp, [*frames.utts, "nobody"])
    wrong = {**frames.num_frames, frames.utts[0]: 3}
    with pytest.raises(SertlError, match=rf"{frames.utts[0]} has shape .* expected \(3, 6\)"):
        Frames(frames.scp, frames.utts, wrong).read(frames.utts[0])
    odd = write_feats(tmp_path / "odd", {"a": np.ones((2, 3)), "b": np.ones((2, 4))})
    with pytest.raises(SertlError, match=r"b has shape \(2, 4\)"):
        Frames(odd, ["a", "b"])


def test_genders_have_seeds_of_their_own(frames, monkeypatch):
    """Else the same frames would be drawn first in both halves."""
    seeds = []

    def spy(group, clusters, seed, **options):
        seeds.append(seed)
        return learn(group, clusters, seed, **options)

    monkeypatch.setattr(learning, "learn", spy)
    learn_codebook(frames, 6, 0, {utt: "fm"[utt[1] in "13"] for utt in frames.utts}, restarts=1)
    assert len({*seeds}) == 2
    learn_codebook(frames, 6, 1, {utt: "fm"[utt[1] in "13"] for utt in frames.utts}, restarts=1)
    assert len({*seeds}) == 4


def test_no_centroid_is_moved_to_a_random_frame(tmp_path):
    """A group of 3 frames among 6,000 keeps its centroid; reassignment would take it away."""
    rng = np.random.default_rng(0)
    many = rng.normal(size=(6000, 2)).astype(np.float32)
    few = np.array([[60.0, 0.0], [60.5, 0.0], [60.0, 0.5]], np.float32)
    feats = {"a": many[:3000], "b": np.concatenate([many[3000:], few])}
    both = Frames(write_feats(tmp_path / "feats", feats), list(feats))
    centroids, _ = learn(both, 2, seed=0, batch_frames=500)
    assert np.abs(centroids - few.mean(axis=0)).sum(axis=1).min() < 1.0


def test_mini_batches_are_scikit_learns():
    """From the same start, batch by batch; a centroid that gets nothing stays where it is."""
    data = np.concatenate(list(clouds(60, size=8, centres=30).values())).astype(np.float32)
    start = np.concatenate([data[:20], np.full((1, 8), 1e4, np.float32)])
    theirs = MiniBatchKMeans(21, init=start, n_init=1, reassignment_ratio=0.0)
    ours = kmeans.MiniBatches(start, "cpu")
    for batch in np.array_split(data, 9):
        theirs.partial_fit(batch)
        ours.add(batch)
        assert np.allclose(ours.centroids, theirs.cluster_centers_, rtol=1e-5, atol=1e-5)
    assert np.array_equal(ours.centroids[20], start[20])


def test_starts_are_judged_by_frames_they_have_not_seen(frames, monkeypatch):
    judged = []
    plain = kmeans.inertia
    monkeypatch.setattr(
        kmeans, "inertia", lambda c, sample, d: judged.append(sample) or plain(c, sample, d)
    )
    start, judges = kmeans.samples(frames, 2, 300, np.random.default_rng(0))
    kmeans.best_start(start, judges, 4, 3, torch.Generator().manual_seed(0), "cpu")
    assert len(judged) == 3 and all(sample is judges for sample in judged)


def test_the_sample_that_judges_is_not_the_one_that_starts(frames):
    start, judge = kmeans.samples(frames, 2, 300, np.random.default_rng(0))
    assert abs(len(start) - len(judge)) <= 1
    own, others = {row.tobytes() for row in start}, {row.tobytes() for row in judge}
    assert not own & others
    few, same = kmeans.samples(frames, 10**6, 10**6, np.random.default_rng(0))
    assert len(few) == frames.total and few is same
