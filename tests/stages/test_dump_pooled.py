# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 3 with --pool: vectors as the frames give them, from the encoder or from a dump."""

import logging
import shutil

import numpy as np
import pytest
import torch
from test_dump import CONF_DIR, LAYERS, ckpts, conf, data, make_conf, read_dump  # noqa: F401
from torch.nn import functional as F

from sertl import fingerprint
from sertl.data.feats import FeatsStore
from sertl.errors import SertlError
from sertl.nn.frame_statistics import pool_frames
from sertl.stages import dump_chunk
from sertl.stages.dump import dump_feats

NAMES = ["mean", "std", "q75"]


@pytest.mark.parametrize("normalise", [False, True])
def test_vectors_are_statistics_of_the_frames(data, conf, tmp_path, normalise):  # noqa: F811
    dump_feats(data, conf, tmp_path / "frames", compress=False)
    dump_feats(data, conf, tmp_path / "pooled", pool=NAMES, normalise=normalise, batch_sec=4.0)
    frames, vectors = read_dump(tmp_path / "frames"), read_dump(tmp_path / "pooled")
    assert frames.keys() == vectors.keys()
    for key, states in frames.items():
        states = torch.from_numpy(states)
        states = F.layer_norm(states, states.shape[-1:]) if normalise else states
        expected = pool_frames(states, NAMES).numpy()
        assert vectors[key].dtype == np.float32 and vectors[key].shape == (3 * 32,)
        np.testing.assert_allclose(vectors[key], expected, rtol=1e-4, atol=1e-5)


def test_a_dump_of_frames_saves_the_encoder(data, conf, tmp_path, monkeypatch, caplog):  # noqa: F811
    dump_feats(data, conf, tmp_path / "frames", compress=False)
    dump_feats(data, conf, tmp_path / "encoded", pool=NAMES)

    def refuse(*_):
        raise AssertionError("the encoder runs")

    monkeypatch.setattr(dump_chunk, "_encode", refuse)
    caplog.set_level(logging.INFO)
    dump_feats(data, conf, tmp_path / "pooled", pool=NAMES, frames=tmp_path / "frames")
    assert "pooling the frames in" in caplog.text
    ours, theirs = read_dump(tmp_path / "pooled"), read_dump(tmp_path / "encoded")
    assert all(np.allclose(ours[key], theirs[key], atol=1e-5) for key in theirs)
    inputs = fingerprint.require_done(tmp_path / "pooled", "")
    assert inputs["pooled_from"] == "float32" and inputs["pool"] == NAMES
    shutil.rmtree(tmp_path / "frames")  # what is done needs them no more
    dump_feats(data, conf, tmp_path / "pooled", pool=NAMES, frames=tmp_path / "frames")


def test_frames_that_do_not_fit_are_not_used(data, conf, ckpts, tmp_path):  # noqa: F811
    dump_feats(data, make_conf(ckpts[1]), tmp_path / "other")
    dump_feats(data, make_conf(ckpts[0], layers=[1]), tmp_path / "fewer")
    for frames in ("other", "fewer", "missing"):
        out = tmp_path / f"pooled_{frames}"
        dump_feats(data, conf, out, pool=["mean"], frames=tmp_path / frames)
        assert fingerprint.require_done(out, "")["pooled_from"] == "encoder"


def test_what_was_begun_from_frames_does_not_go_on_from_the_encoder(
    data,  # noqa: F811
    conf,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    dump_feats(data, conf, tmp_path / "frames")
    count, original = [], dump_chunk.pool_chunk

    def stopped(store, job, chunk):
        if len(count) == 1:
            raise KeyboardInterrupt
        count.append(chunk)
        original(store, job, chunk)

    monkeypatch.setattr("sertl.stages.dump.pool_chunk", stopped)
    with pytest.raises(KeyboardInterrupt):
        dump_feats(
            data, conf, tmp_path / "p", pool=["mean"], frames=tmp_path / "frames", chunk_utts=4
        )
    monkeypatch.setattr("sertl.stages.dump.pool_chunk", original)
    with pytest.raises(SertlError, match="begun from the frames"):
        dump_feats(data, conf, tmp_path / "p", pool=["mean"], frames=tmp_path / "gone")
    dump_feats(data, conf, tmp_path / "p", pool=["mean"], frames=tmp_path / "frames", chunk_utts=4)
    dump_feats(data, conf, tmp_path / "q", pool=["mean"], frames=tmp_path / "frames")
    ours, theirs = read_dump(tmp_path / "p"), read_dump(tmp_path / "q")
    assert all(np.array_equal(ours[key], theirs[key]) for key in theirs)


def test_the_store_gives_the_statistics_asked_for(data, conf, tmp_path):  # noqa: F811
    dump_feats(data, conf, tmp_path / "pooled", pool=NAMES)
    store = FeatsStore(tmp_path / "pooled", [1, 3])
    utt = next(iter(data.utts))
    whole = read_dump(tmp_path / "pooled")
    found = store.read_vectors(utt, ["q75", "mean"])
    assert store.pool == NAMES and found.shape == (2, 2 * 32)
    expected = np.concatenate([whole[3, utt][64:], whole[3, utt][:32]])
    assert np.array_equal(found[1], expected)
    with pytest.raises(SertlError, match="holds mean, std, q75 of the frames, not max"):
        store.read_vectors(utt, ["max"])
    dump_feats(data, conf, tmp_path / "frames")
    with pytest.raises(SertlError, match="pool: "):
        dump_feats(data, conf, tmp_path / "pooled", pool=["mean"])  # other inputs
    assert FeatsStore(tmp_path / "frames", [0]).pool == []
