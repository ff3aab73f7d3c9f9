# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a phase may say: types, ranges and choices, each refused in a line that names the key."""

import pytest

from sertl.errors import SertlError
from sertl.schema.strict import defaults, merged
from sertl.schema.training_keys import Phase


def changed(dotted, value):
    for key in reversed(dotted.split(".")):
        value = {key: value}
    return merged(Phase, defaults(Phase), value, "here")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data_conf.batch_size", 0, "0 is not a whole number of at least 1"),
        ("data_conf.batch_size", True, "True is not a whole number"),
        ("data_conf.bucket", 0.5, "0.5 is not a whole number"),
        ("data_conf.batch_sec", 0.0, "0.0 is not a number of at least 0.001"),
        ("data_conf.crop_sec", float("inf"), "inf is not a number of at least 0"),
        ("data_conf.sampler", "balance", "'balance' is not shuffle | balanced; did you mean 'bala"),
        ("data_conf.share", 0.0, "0.0 is not a number above 0, at most 1"),
        ("data_conf.layers", [2, 2], "[2, 2] has one of its values twice"),
        ("data_conf.layers", "al", "'al' is not all | last | a list of one or more, each a whole"),
        ("data_conf.leave_out", [2, 2], "[2, 2] must be [i, k]"),
        ("data_conf.dev", "dve", "did you mean 'dev'"),
        ("data_conf.augment.noise", 1.5, "1.5 is not a number from 0 to 1"),
        ("data_conf.augment.noise", True, "True is not a number from 0 to 1"),
        ("data_conf.augment.snr_db", [30.0, 5.0], "must be the least and the greatest value"),
        ("data_conf.augment.snr_db", [1.0], "[1.0] is not a list of two, each a number from -20"),
        ("data_conf.speaker_norm.mode", "onlin", "did you mean 'online'"),
        ("data_conf.speaker_norm.prior", -1, "-1 is not a number of at least 0 | null"),
        ("optim_conf.epochs", -1, "-1 is not a whole number of at least 0"),
        ("optim_conf.epochs", 10**20, "is not a whole number of at least 0"),
        ("optim_conf.lr", float("nan"), "nan is not a number of at least 0"),
        ("optim_conf.lr", "1e-3x", "'1e-3x' is not a number of at least 0"),
        (
            "optim_conf.betas",
            [0.9],
            "[0.9] is not a list of two, each a number",
        ),
        ("optim_conf.autocast", "bf61", "did you mean 'bf16'"),
        ("optim_conf.optimizer", "adamww", "did you mean 'adamw'"),
        ("optim_conf.schedule", "liner", "did you mean 'linear'"),
        ("select", "dev_au", "did you mean 'dev_"),
        ("select_conf.lambdas", [], "[] is not a list of one or more, each a number from 0 to 1"),
        ("upstream_conf.tune", "al", "'al' is not none | all | bitfit | last; did you mean 'all'"),
        ("upstream_conf.last_blocks", -1, "-1 is not a whole number of at least 1"),
        ("decode_conf.beam", -1, "-1 is not a whole number from 1 to 10000"),
        ("name", "../../x", "'../../x' is not a word of letters"),
        ("name", "", "'' is not a word of letters"),
        ("model_conf", [1], "model_conf: [1] is not a mapping"),
    ],
)
def test_refused_in_one_line(key, value, message):
    with pytest.raises(SertlError) as error:
        changed(key, value)
    text = str(error.value)
    assert message in text and "\n" not in text and key.split(".")[-1] in text


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("init.freeze", [1], "here: init.freeze[0]: 1 is not text"),
        ("data_conf.train", [1], "here: data_conf.train[0]: 1 is not text"),
        ("optim_conf.lr_scale", {"a": {"b": "x"}}, "holds 'x', which is not a number"),
        ("model_conf", {1: 2}, "here: model_conf: the key 1 is not text; write it in quotes"),
        ("optim_conf", 3, "here: optim_conf must be a mapping, got 3"),
        ("optim_conf", None, "here: optim_conf must be a mapping, got None"),
        ("optim_conf.lrr", 1, "here: optim_conf: unknown key 'lrr'; did you mean 'lr'"),
        ("init", "exp/other", "init is a mapping now; write init.from=exp/other"),
    ],
)
def test_the_place_is_named(key, value, message):
    with pytest.raises(SertlError) as error:
        changed(key, value)
    assert message in str(error.value)


def test_a_whole_number_stands_for_a_number_and_null_for_nothing():
    assert changed("optim_conf.lr", 1)["optim_conf"]["lr"] == 1.0
    assert changed("upstream_conf.from_layer", None)["upstream_conf"]["from_layer"] is None
    assert changed("init.from", "teacher")["init"]["from"] == "teacher"


def test_free_mappings_merge_key_by_key():
    first = changed("model_conf", {"wap": {"width": 3, "blocks": 1}, "a": 1})
    both = merged(Phase, first, {"model_conf": {"wap": {"width": 4}}}, "here")
    assert both["model_conf"] == {"wap": {"width": 4, "blocks": 1}, "a": 1}
    assert first["model_conf"]["wap"]["width"] == 3


def test_defaults_are_not_shared():
    one = defaults(Phase)
    one["data_conf"]["train"].append("x")
    one["model_conf"]["y"] = 1
    assert defaults(Phase)["data_conf"]["train"] == ["fold"]
    assert defaults(Phase)["model_conf"] == {}
