# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Pieces of a phase: layers, class weights, tags, written outputs."""

from pathlib import Path

import numpy as np
import pytest

from sertl.data.table import read_table
from sertl.errors import SertlError
from sertl.stages.decoding import write_outputs
from sertl.stages.experiment import check_tag, dump_name, make_tag, resolve, save_experiment
from sertl.stages.inputs import choose_layers
from sertl.stages.phase import class_weights

CONF = Path(__file__).resolve().parents[2] / "conf"


def test_choose_layers():
    assert choose_layers("all", 5, [0, 2, 4]) == [0, 2, 4]
    assert choose_layers("last", 5, [0, 2, 4]) == [4]
    assert choose_layers([2], 5, [0, 2, 4]) == [2]
    assert choose_layers(2, 5, [0, 2, 4]) == [2]
    with pytest.raises(SertlError, match=r"\[3\] not among the available \[0, 2, 4\]"):
        choose_layers([3], 5, [0, 2, 4])
    for bad in ("first", [], ["2"], None):
        with pytest.raises(SertlError, match="must be all, last or a list"):
            choose_layers(bad, 5, [0])
    with pytest.raises(SertlError, match=r"pseudo_labels.layers: \[9\] not among"):
        choose_layers(9, 5, [0, 1], "pseudo_labels.layers")


def test_class_weights_by_hand():
    # 4 labelled utterances, 2 classes: 4 / (2 * 3) and 4 / (2 * 1)
    assert class_weights("inverse", [0, 0, 0, 1, -1], 2) == pytest.approx([4 / 6, 2.0])
    assert class_weights("inverse", [0, 0], 2) == pytest.approx([0.5, 0.0])
    assert class_weights("none", [0, 1], 2) is None


def test_tags_and_dump_names():
    settings = ["optim_conf.lr=1e-3", "upstream.dtype=bf16", "transductive=true"]
    assert make_tag("w", "two_stage/a", settings, "5class/superb") == (
        "w_two_stage-a_5class_superb_lr-1e-3_dtype-bf16_transductive"
    )
    assert make_tag("w", "probe", ["model_conf.tasks=[emo,vad]"]) == "w_probe_tasks-emo-vad"
    assert dump_name("w", settings) == "w_dtype-bf16"


@pytest.mark.parametrize("tag", ["../x", "a/../../x", "/tmp/x", ".", "", "a\nb"])
def test_a_tag_stays_below_the_folder_of_experiments(tag):
    with pytest.raises(SertlError, match="expected a name below the folder of experiments"):
        check_tag(tag)
    assert check_tag("grid/my tag") == "grid/my tag"


def test_an_experiment_folder_keeps_one_configuration(tmp_path):
    first = resolve(CONF, "fbank", "probe", ["optim_conf.lr=1e-3"])
    assert first["upstream"]["hidden_size"] == 240
    save_experiment(tmp_path / "e", first, "./run.sh", redo=False)
    save_experiment(tmp_path / "e", first, "./run.sh again", redo=False)
    assert (tmp_path / "e/command.txt").read_text().count("./run.sh") == 2
    other = resolve(CONF, "fbank", "probe", ["optim_conf.lr=1e-2"])
    with pytest.raises(SertlError, match="phases.main.optim_conf.lr: 0.001 -> 0.01"):
        save_experiment(tmp_path / "e", other, "./run.sh", redo=False)
    save_experiment(tmp_path / "e", other, "./run.sh", redo=True)


def test_upstream_settings_and_misuse():
    conf = resolve(CONF, "whisper_tiny_en", "probe", ["upstream.dtype=bf16"], ckpt="x")
    assert (conf["upstream"]["dtype"], conf["upstream"]["ckpt"]) == ("bf16", "x")
    with pytest.raises(SertlError, match="did you mean 'dtype'"):
        resolve(CONF, "fbank", "probe", ["upstream.dtyp=bf16"])
    with pytest.raises(SertlError, match="use --upstream"):
        resolve(CONF, "fbank", "probe", ["upstream=hubert_base"])


def test_outputs_become_kaldi_files(tmp_path):
    outputs = {
        "s-b": {
            "emo": np.array([0.1, 0.9]),
            "gender": np.array([1.0, 0.0]),
            "vad": np.array([1.0, 2.5, 3.0]),
            "text": "",
        },
        "s-a": {
            "emo": np.array([0.7, 0.3]),
            "gender": np.array([0.0, 1.0]),
            "vad": np.array([2.0, 2.0, 2.0]),
            "text": "GUTEN TAG",
        },
    }
    told = write_outputs(tmp_path, outputs, {"emo": ["ang", "sad"], "gender": ["f", "m"]})
    assert told == {"emo": ["ang", "sad"], "gender": ["f", "m"]}
    assert read_table(tmp_path / "hyp_emo") == {"s-a": "ang", "s-b": "sad"}
    assert read_table(tmp_path / "hyp_gender") == {"s-a": "m", "s-b": "f"}
    assert read_table(tmp_path / "hyp_vad")["s-b"] == "1.0000 2.5000 3.0000"
    assert read_table(tmp_path / "hyp_text") == {"s-a": "GUTEN TAG", "s-b": "-"}
    assert (tmp_path / "labels").read_text() == "ang\nsad\n"
    assert list(read_table(tmp_path / "logits.scp")) == ["s-a", "s-b"]
