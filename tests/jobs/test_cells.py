# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The cells of a grid."""

import pytest

from sertl.errors import SertlError
from sertl.jobs.cells import Choice, cells_of


@pytest.fixture
def egs(tmp_path):
    for name in ("emodb", "nemo"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.sh").touch()
    return tmp_path


def choices(what, *texts):
    return [Choice.parse(text, what) for text in texts]


def test_every_corpus_with_every_encoder_and_method(egs):
    corpora = choices("corpus", "emodb --corpus-dir '/a b'", "small=nemo --corpus-dir /n")
    methods = choices("method", "linear", "lora4=peft/lora --set x=4")
    cells = cells_of(
        egs, "g", corpora, choices("upstream", "tiny --ckpt /m"), methods, ["--nnodes"]
    )
    assert [(c.folder.name, c.tag) for c in cells] == [
        ("emodb", "g_tiny_linear"),
        ("emodb", "g_tiny_lora4"),
        ("nemo", "g_small_tiny_linear"),
        ("nemo", "g_small_tiny_lora4"),
    ]
    assert cells[1].options == (
        *("--upstream", "tiny", "--method", "peft/lora", "--tag", "g_tiny_lora4"),
        *("--corpus-dir", "/a b", "--ckpt", "/m", "--set", "x=4", "--nnodes"),
    )


def test_what_cannot_be_is_refused(egs):
    one = choices("upstream", "tiny"), choices("method", "linear")
    with pytest.raises(SertlError, match="unknown recipe 'emodbb'; did you mean 'emodb'"):
        cells_of(egs, "g", choices("corpus", "emodbb"), *one, [])
    twice = choices("method", "peft/lora", "peft/lora --set x=1")
    with pytest.raises(SertlError, match="LABEL=peft-lora"):
        cells_of(egs, "g", choices("corpus", "emodb"), one[0], twice, [])
    with pytest.raises(SertlError, match="--tag=x is not a cell's own"):
        cells_of(egs, "g", choices("corpus", "emodb"), *one, ["--tag=x"])


@pytest.mark.parametrize("text", ["", "--set x=1", "linear --stage 3", "linear 'x"])
def test_what_is_no_choice_is_refused(text):
    with pytest.raises(SertlError, match="--method"):
        Choice.parse(text, "method")
