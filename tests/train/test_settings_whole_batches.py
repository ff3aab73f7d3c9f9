# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The CCC loss is refused where it would be that of a few utterances."""

import pytest
import torch
from fakes import LABELS, build_model, fake_dataset

from sertl.errors import SertlError
from sertl.models.base import Spec
from sertl.train.loop import Trainer
from sertl.train.settings import check_whole_batches

SPEC = Spec(labels=LABELS, hidden_size=6, layers=[0, 1], vad_range=(1.0, 5.0))


def probe(**conf):
    return build_model("probe", SPEC, None, conf)


def test_only_ccc_needs_whole_batches():
    data = {"batch_size": 4, "batch_sec": 1.0}
    for conf in ({}, {"tasks": ["vad"]}, {"tasks": ["emo", "vad"], "vad_loss": "rmse"}):
        check_whole_batches(probe(**conf), data, fake_dataset(), 2)


@pytest.mark.parametrize(
    ("size", "seconds", "world", "message"),
    [
        (15, 160.0, 1, "batch_size is 15, expected 16 or more"),
        (16, 79.0, 1, "take 80 s, so data_conf.batch_sec=79"),  # the longest has 5 s
        (16, 80.0, 2, "2 processes"),
    ],
)
def test_refusals(size, seconds, world, message):
    model, data = probe(tasks=["emo", "vad"], vad_loss="ccc"), {"batch_size": 16, "batch_sec": 80.0}
    check_whole_batches(model, data, fake_dataset(), 1)
    with pytest.raises(SertlError, match=message):
        check_whole_batches(
            model, {"batch_size": size, "batch_sec": seconds}, fake_dataset(), world
        )


def test_the_trainer_asks(tmp_path, phase_conf):
    conf = phase_conf(data_conf={"batch_size": 8})
    model = probe(tasks=["vad"], vad_loss="ccc")
    with pytest.raises(SertlError, match="batch_size is 8"):
        cpu = torch.device("cpu")
        Trainer(model, conf, fake_dataset(), None, tmp_path, 1, "last", cpu)
