# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""openSMILE's functionals as an encoder of one frame a clip; what is said without the package."""

import sys

import pytest
import torch
from awkward_clips import CONF_DIR

from sertl.errors import SertlError
from sertl.upstream.build import build_upstream, entry, load_conf


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(SertlError, match=r"pip install 'sertl\[opensmile\]'"):
        entry(load_conf("egemaps", CONF_DIR))


def test_sets_and_checkpoints_are_checked():
    conf = load_conf("egemaps", CONF_DIR, {"extra_conf": {"feature_set": "eGeMAPS"}})
    with pytest.raises(SertlError, match="unknown feature_set 'eGeMAPS'; did you mean"):
        entry(conf)
    with pytest.raises(SertlError, match="has no checkpoint"):
        entry({**load_conf("egemaps", CONF_DIR), "ckpt": str(CONF_DIR)})


def test_functionals_are_those_of_the_package_alone_and_in_a_batch():
    package = pytest.importorskip("opensmile", reason="the extra opensmile is not installed")
    for name, kind in (("egemaps", "eGeMAPSv02"), ("compare16", "ComParE_2016")):
        upstream = build_upstream(load_conf(name, CONF_DIR))
        smile = package.Smile(getattr(package.FeatureSet, kind), package.FeatureLevel.Functionals)
        wavs = 0.1 * torch.randn(3, 20000, generator=torch.Generator().manual_seed(0))
        lens = torch.tensor([20000, 9000, 300])
        (states,), frames = upstream(wavs, lens)
        assert frames.tolist() == [1, 1, 1] and states.shape == (3, 1, upstream.hidden_size)
        for row, length in ((0, 20000), (1, 9000)):
            truth = smile.process_signal(wavs[row, :length].numpy(), 16000).to_numpy()[0]
            torch.testing.assert_close(states[row, 0], torch.from_numpy(truth.copy()).float())
        alone = upstream(wavs[2:, :300], torch.tensor([300]))[0][0]
        torch.testing.assert_close(alone[0], states[2])
    with pytest.raises(SertlError, match="nothing to fine-tune"):
        upstream.trainable()
