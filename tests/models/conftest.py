# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Models of GMP-TL on a tiny HuBERT."""

import pytest
import torch
from fakes import build_model
from gmp_batches import SPEC

from sertl.upstream.s3prl import build_s3prl
from sertl.upstream.tiny import save_hubert


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "hubert.pt"
    torch.manual_seed(0)
    save_hubert(path)
    return path


@pytest.fixture
def make(ckpt):
    """A function: a model of that name on a tiny HuBERT that trains."""

    def build(name, **model_conf):
        upstream = build_s3prl("hubert_local", ckpt, {})
        upstream.trainable([3])
        torch.manual_seed(1)
        return build_model(name, SPEC, upstream, model_conf)

    return build
