# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Labels equal scikit-learn's, a codebook refuses another fold, and the two commands."""

import sys

import numpy as np
import pytest
import torch
from arks import clouds, write_feats
from sklearn.cluster import KMeans

from sertl.bin import dump_km_label, learn_kmeans
from sertl.cluster import codebook as codebook_file
from sertl.cluster import labelling
from sertl.cluster import nearest as nearest_file
from sertl.cluster.codebook import load_codebook, save_codebook
from sertl.cluster.frames import Frames
from sertl.cluster.labelling import dump_labels, label_utterances, usage
from sertl.cluster.learning import learn_codebook
from sertl.cluster.nearest import Nearest
from sertl.data.ark import ArkWriter, read_array, read_scp
from sertl.data.datadir import Utterance, write_data_dir
from sertl.errors import SertlError


@pytest.fixture
def frames(tmp_path):
    feats = clouds()
    return Frames(write_feats(tmp_path / "feats", feats), list(feats))


@pytest.mark.parametrize("bf16", [False, True])  # imitated where the CPU has none
@pytest.mark.parametrize("offset", [0.0, 30.0])
@pytest.mark.parametrize("scores", [1, 1000, 2**20])
def test_labels_equal_sklearns(monkeypatch, offset, scores, bf16):
    """On the same centroids, whatever the block; distances as computed directly."""
    monkeypatch.setattr(nearest_file, "BLOCK_SCORES", {"cpu": scores})
    rng = np.random.default_rng(0)
    data = (rng.normal(size=(700, 48)) + offset).astype(np.float32)
    model = KMeans(40, n_init=1, max_iter=5, random_state=0).fit(data)
    nearest = Nearest(model.cluster_centers_, bf16=bf16)
    labels, found = nearest(data)
    assert labels.dtype == np.int32 and np.array_equal(labels, model.predict(data))
    assert np.array_equal(labels, nearest.labels(data))
    direct = ((data - model.cluster_centers_[labels]).astype(np.float64) ** 2).sum(axis=1)
    assert np.allclose(found, direct, rtol=1e-5)


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize(
    "kind", ["between two", "twins", "far off", "of all lengths", "rounded one way"]
)
def test_labels_are_those_of_float64(kind, bf16):
    """Also of frames that bf16 and float32 cannot decide."""
    rng = np.random.default_rng(0)
    centroids = rng.normal(size=(60, 96)).astype(np.float32)
    pairs = rng.integers(60, size=(500, 2))
    share = 0.5 + rng.choice([0.0, 1e-2, -1e-2, 1e-4, -1e-4, 1e-6], size=(500, 1))
    frames = share * centroids[pairs[:, 0]] + (1 - share) * centroids[pairs[:, 1]]
    if kind == "twins":  # of two equal ones the first, of nearly equal ones the nearer
        centroids[30:] = centroids[:30]
        centroids[45:, 0] = np.nextafter(centroids[45:, 0], np.float32(9))
    elif kind == "far off":
        centroids, frames = centroids + 500, frames + 500
    elif kind == "of all lengths":
        centroids *= 10.0 ** rng.integers(-4, 4, size=(60, 1)).astype(np.float32)
        frames = frames * 10.0 ** rng.integers(-4, 4, size=(500, 1))
    elif kind == "rounded one way":  # to the wrong one of two, by half a unit of each number
        down, up = 1 + 0.49 * 2.0**-7, 1 + 0.51 * 2.0**-7
        centroids = np.outer([down, up, -down, -up], np.ones(96))
        frames = np.outer(rng.choice([1, -1], 500) * rng.uniform(down, up, 500), np.ones(96))
    frames = frames.astype(np.float32)
    centroids = centroids.astype(np.float32)
    wide = frames.astype(np.longdouble)[:, None] - centroids.astype(np.longdouble)
    exact = (wide**2).sum(axis=2)
    labels = Nearest(centroids, bf16=bf16).labels(frames)
    least = exact.min(axis=1)
    # float64 itself has 16 digits of the largest term
    assert (exact[np.arange(500), labels] <= least + 1e-13 * exact.max()).all()
    if kind == "twins":
        assert (labels[labels < 45] < 30).all()


def test_what_is_no_number_is_labelled_all_the_same():
    frames = np.zeros((3, 4), np.float32)
    frames[1, 2] = np.nan
    labels = Nearest(np.eye(4, dtype=np.float32), bf16=False).labels(frames)
    assert labels.shape == (3,) and ((labels >= 0) & (labels < 4)).all()


def test_threads_change_nothing(frames, monkeypatch):
    nearest = Nearest(frames.sample(4, np.random.default_rng(0)))
    monkeypatch.setattr(labelling, "BLOCK_FRAMES", 30)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append([(u, x.tolist()) for u, x, _ in label_utterances(nearest, frames)])
            assert torch.get_num_threads() == threads
            left = label_utterances(nearest, frames)
            next(left)
            left.close()
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] and [u for u, _ in found[0]] == frames.stored()


def test_by_hand_and_usage(tmp_path):
    frames = Frames(write_feats(tmp_path / "f", {"a": [[0.0], [4.0]], "b": [[9.0]]}), ["a", "b"])
    nearest = Nearest(np.array([[1.0], [10.0], [50.0]], np.float32))
    assert [(u, x.tolist()) for u, x, _ in label_utterances(nearest, frames)] == [
        ("a", [0, 0]),
        ("b", [1]),
    ]
    counts, inertia = usage(nearest, frames)  # (1 + 9 + 1) / 3
    assert counts.tolist() == [2, 1, 0] and inertia == pytest.approx(11 / 3)


def test_utterances_fill_a_block_and_come_out_apart(frames, monkeypatch):
    nearest = Nearest(frames.sample(4, np.random.default_rng(0)))
    one = {u: labels for u, labels, _ in label_utterances(nearest, frames)}
    monkeypatch.setattr(labelling, "BLOCK_FRAMES", 30)
    for utt, labels, distances in label_utterances(nearest, frames):
        assert np.array_equal(labels, one[utt]) and len(distances) == frames.num_frames[utt]
    assert list(one) == frames.stored() and sorted(one) == frames.utts


def test_a_codebook_refuses_another_folds_ids(frames, tmp_path):
    codebook = learn_codebook(frames, 4, 0, restarts=1)
    save_codebook(tmp_path / "book", codebook)
    loaded = load_codebook(tmp_path / "book")
    assert np.array_equal(loaded.centroids, codebook.centroids) and loaded.info == codebook.info
    loaded.check_ids(frames.utts, "here")
    with pytest.raises(SertlError, match=r"here: .* learned from 12 utterances .* has 11 .*fold"):
        loaded.check_ids(frames.utts[1:], "here")
    np.save(tmp_path / "book/centroids.npy", codebook.centroids[:3])
    with pytest.raises(SertlError, match=r"damaged codebook \(centroids of shape \(3, 6\), not"):
        load_codebook(tmp_path / "book")
    (tmp_path / "book/centroids.npy").write_bytes(b"x")
    with pytest.raises(SertlError, match="damaged codebook"):
        load_codebook(tmp_path / "book")
    with pytest.raises(SertlError, match="no codebook there"):
        load_codebook(tmp_path / "nowhere")


def test_labels_per_gender(frames, tmp_path):
    """Female frames get ids below K / 2, male ones the others; an unknown gender any."""
    genders = {utt: "fm"[utt[1] in "13"] for utt in frames.utts}
    codebook = learn_codebook(frames, 8, 0, genders, restarts=1)
    known = {**genders, "s0-u00": None}
    dump_labels(codebook, frames, tmp_path / "labels", known)
    scp = read_scp(tmp_path / "labels.scp")
    assert set(scp) == set(frames.utts)
    for utt, spec in scp.items():
        labels = read_array(spec, utt)
        assert labels.dtype == np.int32 and len(labels) == frames.num_frames[utt]
        low, high = {"f": (0, 4), "m": (4, 8), None: (0, 8)}[known[utt]]
        expected = Nearest(codebook.centroids[low:high])(frames.read(utt))[0] + low
        assert np.array_equal(labels, expected)


def test_a_codebook_never_stands_beside_anothers_centroids(frames, tmp_path, monkeypatch):
    """Stopped while one is written over another, neither is left."""
    save_codebook(tmp_path, learn_codebook(frames, 4, 0, restarts=1))
    other = learn_codebook(Frames(frames.scp, frames.utts[6:]), 4, 0, restarts=1)
    with monkeypatch.context() as m:
        m.setattr(codebook_file, "write_json", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            save_codebook(tmp_path, other)
    with pytest.raises(SertlError, match="no codebook there"):
        load_codebook(tmp_path)


def test_features_of_another_size_are_refused(frames, tmp_path):
    codebook = learn_codebook(frames, 4, 0, restarts=1)
    wide = write_feats(tmp_path / "wide", {u: np.ones((3, 7)) for u in frames.utts})
    with pytest.raises(SertlError, match=r"frames have 7 dimensions, .* centroids 6"):
        dump_labels(codebook, Frames(wide, frames.utts), tmp_path / "labels")
    with ArkWriter(tmp_path / "ints") as writer:
        writer.write("a", np.arange(3, dtype=np.int32))
    with pytest.raises(SertlError, match=r"a is of shape \(3,\), expected a matrix"):
        Frames(tmp_path / "ints.scp", ["a"])


def test_commands(frames, tmp_path, monkeypatch):
    """learn_kmeans on a training set, dump_km_label on it and on others; never for another fold."""
    for name, utts in {"train": frames.utts[:8], "dev": frames.utts[8:]}.items():
        rows = [Utterance(u, u[:2], f"{u}.wav", 1.0, emo="neu", gender="f") for u in utts]
        write_data_dir(tmp_path / name, rows, ["neu"])

    def command(module, *arguments):
        monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
        module.main()

    feats, book = ("--feats", frames.scp), tmp_path / "book"
    train, dev = tmp_path / "train", tmp_path / "dev"
    command(learn_kmeans, *feats, "--data", train, "--clusters", 4, "--out", book, "--restarts", 2)
    label = ("--codebook", book, "--data", train, dev, "--out", tmp_path / "labels")
    command(dump_km_label, *feats, *label, "--train", train)
    assert load_codebook(book).info["ids"]["n"] == 8
    expected = Nearest(load_codebook(book).centroids)
    for utt, spec in read_scp(tmp_path / "labels.scp").items():
        assert np.array_equal(read_array(spec, utt), expected(frames.read(utt))[0])
    with pytest.raises(SertlError, match="belongs to another fold"):
        command(dump_km_label, *feats, *label, "--train", dev)
