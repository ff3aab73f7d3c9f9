# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What stage 3 stores for a method: vectors where they are all it needs, else frames."""

from pathlib import Path

import pytest

from sertl.errors import SertlError
from sertl.stages.experiment import make_tag, resolve, shorthands

CONF = Path(__file__).resolve().parents[2] / "conf"


def resolved(method, *settings, pool=""):
    return resolve(CONF, "whisper_tiny_en", method, settings, dump="dump/w", pool=pool)


@pytest.mark.parametrize(
    ("method", "settings", "pool", "dump", "statistics"),
    [
        ("linear", (), "", "dump/w.mean-std", ["mean", "std"]),
        ("linear", (), "mean,std,max", "dump/w.mean-std-max", ["mean", "std", "max"]),
        ("linear", ("model_conf.statistics=[q50]",), "", "dump/w.q50", ["q50"]),
        ("probe", (), "", "dump/w.mean.normalised", ["mean"]),
        ("probe", ("data_conf.normalise=false",), "", "dump/w.mean", ["mean"]),
        ("probe", ("data_conf.crop_sec=2.0",), "", "dump/w", []),
        ("probe", ("model_conf.pooling=stat",), "", "dump/w", []),
        ("probe_last", ("model_conf.pooling=stat",), "", "dump/w.mean-std.normalised",
         ["mean", "std"]),
        ("probe", (), "none", "dump/w", []),
        ("sap", (), "", "dump/w", []),
        ("wap_light", (), "", "dump/w", []),
        ("probe", ("input=wav",), "", "dump/w", []),
        ("gmp_tl", (), "", "dump/w", []),
    ],
)  # fmt: skip
def test_what_is_dumped(method, settings, pool, dump, statistics):
    conf = resolved(method, *settings, pool=pool)
    assert (conf["dump"], conf["pool"]) == (dump, statistics)


@pytest.mark.parametrize(
    ("method", "settings", "pool", "words"),
    [
        ("sap", (), "mean", "phase main of sap needs frames"),
        ("linear", (), "mean", "lacks std, which the method reads"),
        ("finetune", (), "mean", "reads audio"),
        ("linear", (), "maen", "did you mean 'mean'"),
    ],
)
def test_a_pool_that_the_method_cannot_work_from(method, settings, pool, words):
    with pytest.raises(SertlError, match=words):
        resolved(method, *settings, pool=pool)


def test_speaker_normalisation_by_its_option():
    (setting,) = shorthands("", "", ["main"], "online")
    assert resolved("linear", setting)["phases"][0]["data_conf"]["speaker_norm"]["mode"] == "online"
    assert make_tag("w", "linear", [setting]) == "w_linear_speaker-norm-online"
    assert shorthands("", "", ["main"]) == []
