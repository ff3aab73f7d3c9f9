# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Dumps as a store: layers of an utterance, damage, and two dumps of one encoder together."""

import numpy as np
import pytest

from sertl import fingerprint
from sertl.data.ark import ArkWriter
from sertl.data.feats import FeatsStore
from sertl.data.table import write_table
from sertl.errors import SertlError


def dump(folder, utts, layers=(0, 2), checkpoint="abc", **changes):
    """A finished dump; frame t of layer l is filled with 10 l + t."""
    inputs = {"name": "enc", "checkpoint": checkpoint, "layers": list(layers), "ids": str(utts)}
    fingerprint.begin(folder, {**inputs, **changes})
    for layer in layers:
        (folder / f"layer{layer}").mkdir()
        with ArkWriter(folder / f"layer{layer}/feats", compress=False) as writer:
            for utt, frames in utts.items():
                rows = 10.0 * layer + np.arange(frames)
                writer.write(utt, np.tile(rows[:, None], 3).astype(np.float32))
    write_table(folder / "utt2num_frames", {utt: str(n) for utt, n in utts.items()})
    fingerprint.finish(folder)
    return folder


def test_layers_of_an_utterance(tmp_path):
    store = FeatsStore(dump(tmp_path / "a", {"s-1": 2, "s-2": 3}), [2, 0])
    found = store.read("s-2")
    assert found.shape == (2, 3, 3)
    assert found[:, :, 0].tolist() == [[20, 21, 22], [0, 1, 2]]
    assert store.gib(["s-1", "s-2"], 3) == pytest.approx(5 * 2 * 3 * 4 / 2**30)
    with pytest.raises(SertlError, match=r"lacks 1 of 2 utterances, e.g. \['s-9'\]"):
        store.check(["s-1", "s-9"])
    with pytest.raises(SertlError, match=r"layer \[1\]; it holds \['layer0', 'layer2'\]"):
        FeatsStore(tmp_path / "a", [1])


def test_two_dumps_of_one_encoder(tmp_path):
    store = FeatsStore(dump(tmp_path / "a", {"s-1": 2}), [0])
    store.add(dump(tmp_path / "b", {"x-1": 3}))
    store.check(["s-1", "x-1"])
    assert (len(store.read("s-1")[0]), len(store.read("x-1")[0])) == (2, 3)


def test_dumps_that_do_not_go_together(tmp_path):
    store = FeatsStore(dump(tmp_path / "a", {"s-1": 2}), [0])
    with pytest.raises(SertlError, match="not of the encoder of .*checkpoint: abc -> def"):
        store.add(dump(tmp_path / "b", {"x-1": 3}, checkpoint="def"))
    with pytest.raises(SertlError, match="s-1 has 2 frames in .*, 3 in .*: one id for two"):
        store.add(dump(tmp_path / "c", {"s-1": 3}))
    store.add(dump(tmp_path / "e", {"s-1": 2, "s-7": 5}))  # the same utterance again
    assert len(store.read("s-7")[0]) == 5
    with pytest.raises(SertlError, match=r"no features of layer \[0\]"):
        store.add(dump(tmp_path / "d", {"x-1": 3}, layers=(2,)))


def test_an_unfinished_dump_is_refused(tmp_path):
    fingerprint.begin(tmp_path / "a", {"name": "enc"})
    with pytest.raises(SertlError, match="unfinished"):
        FeatsStore(tmp_path / "a", [0])
