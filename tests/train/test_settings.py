# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Settings of a phase that cannot be followed are refused by name."""

from typing import get_args

import pytest
import torch
from fakes import fake_dataset

from sertl.errors import SertlError
from sertl.schema.training_keys import Autocast, Optimizer, Select
from sertl.train.optim import OPTIMIZERS
from sertl.train.settings import AUTOCAST, SELECT, check_settings

CPU = torch.device("cpu")


def test_half_precision_needs_a_gpu(phase_conf):
    train = fake_dataset()
    check_settings(phase_conf(), "dev_ua", train, train, CPU)
    with pytest.raises(SertlError, match="fp16 needs a GPU"):
        check_settings(phase_conf(optim_conf={"autocast": "fp16"}), "dev_ua", train, train, CPU)


def test_every_choice_that_the_schema_allows_has_a_meaning():
    assert {*get_args(Select)} == {*SELECT, "auto", "auto_wer"}
    assert {*get_args(Autocast)} == {*AUTOCAST}
    assert {*get_args(Optimizer)} == {*OPTIMIZERS}


def test_selection_needs_what_it_selects_by(phase_conf):
    train = fake_dataset()
    check_settings(phase_conf(), "last", train, None, CPU)
    with pytest.raises(SertlError, match="unknown select 'dev_au'"):
        check_settings(phase_conf(), "dev_au", train, train, CPU)
    with pytest.raises(SertlError, match="needs a dev set, and this protocol has none"):
        check_settings(phase_conf(), "dev_ua", train, None, CPU)
