# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Settings of a phase that cannot be followed are refused by name."""

import pytest
import torch
from fakes import fake_dataset

from sertl.errors import SertlError
from sertl.train.settings import check_settings

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("data_conf", {"batch_size": 0}, "data_conf.batch_size: 0 is not a whole number"),
        ("data_conf", {"bucket": 0.5}, "data_conf.bucket: 0.5 is not a whole number"),
        ("data_conf", {"batch_sec": 0.0}, "data_conf.batch_sec: 0.0 is not in 0.001 to inf"),
        ("data_conf", {"crop_sec": -1.0}, "data_conf.crop_sec: -1.0 is not in 0 to inf"),
        ("data_conf", {"sampler": "balance"}, "did you mean 'balanced'"),
        ("optim_conf", {"epochs": -1}, "optim_conf.epochs: -1 is not a whole number of at least 0"),
        ("optim_conf", {"patience": -1}, "optim_conf.patience: -1 is not a whole number"),
        ("optim_conf", {"lr": -1.0}, "optim_conf.lr: -1.0 is not in 0 to inf"),
        ("optim_conf", {"lr": float("nan")}, "optim_conf.lr: nan is not in"),
        ("optim_conf", {"grad_clip": -1.0}, "optim_conf.grad_clip: -1.0 is not in 0 to inf"),
        ("optim_conf", {"warmup": 1.5}, "optim_conf.warmup: 1.5 is not in 0 to 1"),
        ("optim_conf", {"betas": [0.9]}, r"optim_conf.betas: \[0.9\] are not two numbers"),
        ("optim_conf", {"autocast": "bf61"}, "did you mean 'bf16'"),
        ("optim_conf", {"autocast": "fp16"}, "fp16 needs a GPU"),
    ],
)
def test_refused(phase_conf, section, change, message):
    train = fake_dataset()
    check_settings(phase_conf(), "dev_ua", train, train, CPU)
    with pytest.raises(SertlError, match=message):
        check_settings(phase_conf(**{section: change}), "dev_ua", train, train, CPU)


def test_selection_needs_what_it_selects_by(phase_conf):
    train = fake_dataset()
    check_settings(phase_conf(), "last", train, None, CPU)
    with pytest.raises(SertlError, match="unknown select 'dev_au'"):
        check_settings(phase_conf(), "dev_au", train, train, CPU)
    with pytest.raises(SertlError, match="needs a dev set, and this protocol has none"):
        check_settings(phase_conf(), "dev_ua", train, None, CPU)
