# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What stage 6 would refuse is refused before stage 3, and nothing else is."""

from pathlib import Path

import pytest

from sertl.errors import SertlError
from sertl.stages.experiment import resolve
from sertl.stages.rehearsal import rehearse

CONF = Path(__file__).resolve().parents[2] / "conf"
METHODS = sorted(
    str(path.relative_to(CONF / "method").with_suffix(""))
    for path in (CONF / "method").rglob("*.yaml")
)


def resolved(method, *settings):
    return resolve(CONF, "hubert_base", method, settings)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_passes(method):
    rehearse(resolved(method))


@pytest.mark.parametrize(
    ("method", "setting", "words"),
    [
        ("probe", "model_conf.poolin=stat", "phase main: unknown key of model probe: 'poolin'"),
        ("probe", "model_conf.hidden=-3", "phase main: model probe: hidden"),
        ("finetune", "model_conf.pooling=statt", "unknown pooling 'statt'; did you mean 'stat'"),
        ("probe", "model_conf.loss=cee", "unknown loss 'cee'; did you mean 'ce'"),
        ("gmp_tl", "main.model_conf.loss_conf.gama=1", "phase main: .*'gama'"),
        ("gmp_tl", "teacher.model_conf.los=ce", "phase teacher: .*'los'"),
        ("gmp_tl", "input=feats", "phase teacher: upstream_conf.tune: all.*input=wav"),
        ("finetune", "input=feats", "phase main: upstream_conf.tune: all.*--set input=wav"),
        ("local_attributes", "model_conf.pooling=stat", "phase pretrain: unknown key"),
        ("local_attributes", "pretrain.model_conf.wap.blocks=x", "phase pretrain: .*blocks"),
        ("probe", "data_conf.layers=[13]", r"data_conf.layers: \[13\] not among"),
        ("probe", "data_conf.time_mask=0.1", "phase main: data_conf.time_mask .*--set input=wav"),
        ("linear", "data_conf.augment.noise=0.5", "phase main: data_conf.augment .*input=wav"),
        ("peft/lora", "upstream_conf.peft.lora.rnk=3", "phase main: .*'rnk'; did you mean 'rank'"),
        ("peft/lora", "upstream_conf.peft.lorra.rank=3", "'lorra'; did you mean 'lora'"),
        ("peft/lora", "upstream_conf.peft.lora.layers=[13]", "peft.lora.layers is .*13"),
        ("finetune", "upstream_conf.peft.lora.rank=4", "upstream_conf.peft.lora needs alpha"),
        ("peft/last_blocks", "upstream_conf.last_blocks=13", "last_blocks is 13, expected 1..12"),
        ("local_attributes", "start=solved", "phase pretrain: start: solved needs a model with"),
        ("two_stage", "data_conf.layers=[0]", "phase phase2: upstream_conf.peft.lora: no block"),
    ],
)
def test_what_cannot_be_is_refused_with_its_phase(method, setting, words):
    with pytest.raises(SertlError, match=words):
        rehearse(resolved(method, setting))


def test_a_head_that_cannot_start_solved_is_refused():
    settings = ["start=solved", "model_conf.loss=am_softmax"]
    with pytest.raises(SertlError, match="phase main: .*needs a hidden layer first"):
        rehearse(resolved("finetune", *settings))
    rehearse(resolved("finetune", *settings, "model_conf.hidden=64"))


def test_frames_of_audio_are_not_normalised():
    norm = ["data_conf.speaker_norm.mode=online", "data_conf.speaker_norm.where=frames"]
    with pytest.raises(SertlError, match="phase main: .*where=frames is of dumped frames"):
        rehearse(resolved("finetune", *norm))
    rehearse(resolved("finetune", norm[1]))
    rehearse(resolved("sap", *norm))


def test_what_the_tables_and_pages_set_passes():
    for method, settings in (
        ("finetune", ["upstream_conf.from_layer=0", "data_conf.crop_sec=1.5"]),
        ("peft/last_blocks", ["upstream_conf.from_layer=10", "data_conf.speaker_norm.mode=online"]),
        ("local_attributes", ["pretrain.init.from=upstream", "pretrain.model_conf.reads=1"]),
        ("two_stage", ["phase1.data_conf.augment.speed=[0.9,1.1]"]),
        ("gmp_tl", ["pseudo_labels.clusters=[64,512]", "pseudo_labels.cross_fit=2"]),
    ):
        rehearse(resolved(method, *settings))
