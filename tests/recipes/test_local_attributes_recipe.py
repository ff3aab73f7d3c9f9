# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Adapter training without labels through run.sh: own and other speech, its insight, hand-over."""

import json

import pytest

from sertl.data.table import read_table

SMALL = (
    "model_conf.wap.width=8", "model_conf.wap.blocks=2", "model_conf.wap.ffn=16",
    "optim_conf.epochs=1", "optim_conf.patience=0", "select_conf.lambdas=[0,1]",
)  # fmt: skip
PRETRAIN = ("pretrain.model_conf.centroids=16", "pretrain.optim_conf.epochs=2")
FOLD = "exp/{}/seed1/fold1/{}"


@pytest.fixture(scope="module")
def mini(recipe):
    """One fold pretrained on its training ids, fine-tuned, scored, reported."""
    run = recipe("mini")
    options = ("--method", "local_attributes", "--folds", "1", "--tag", "own")
    run(*options, "--set", *SMALL, *PRETRAIN)
    return run


def test_phases_and_their_training_ids(mini):
    train = (mini.folder / "data/fold1/train/utt2spk").read_text()
    assert (mini.folder / FOLD.format("own", "pretrain") / "train_ids").read_text() == train
    assert (mini.folder / FOLD.format("own", "finetune") / "best.pt").is_file()
    assert "init from" in (mini.folder / FOLD.format("own", "train.log")).read_text()


def test_insight_is_written_and_reported(mini):
    folder = mini.folder / FOLD.format("own", "pretrain")
    found = json.loads((folder / "run.json").read_text())["clusters"]
    assert 1 <= found["perplexity"] <= 16 and 0 <= found["speaker"]["nmi"] <= 1
    entries = json.loads((folder / "diagnostics.json").read_text())
    assert [entry["kind"] for entry in entries] == ["table", "scatter", "timelines"]
    assert not [p for p in folder.rglob("*") if p.suffix in (".md", ".png")]  # the report draws
    page = (mini.folder / "exp/own/report.html").read_text()
    assert "Local attributes" in page and page.count("data:image/png") >= 3


def test_other_speech_then_an_adapter_handed_over(mini):
    """--unlabelled takes a directory without held-out speakers; --init-wap the result."""
    mini(
        "--method", "local_attributes", "--folds", "1", "--tag", "other", "--stage", "6",
        "--stop-stage", "6", "--phase", "pretrain", "--unlabelled", "data/fold2/train",
        "--stage", "3", "--set", *SMALL, *PRETRAIN,
    )  # fmt: skip
    seen = read_table(mini.folder / FOLD.format("other", "pretrain") / "train_ids")
    held_out = {
        utt: spk
        for part in ("dev", "test")
        for utt, spk in read_table(mini.folder / "data/fold1" / part / "utt2spk").items()
    }
    assert seen and not seen.keys() & held_out.keys()
    assert not {*seen.values()} & {*held_out.values()}
    options = ("--method", "wap", "--folds", "1", "--stage", "6", "--stop-stage", "6")
    mini(*options, "--tag", "handed", "--init-wap", "exp/other", "--set", *SMALL)
    log = (mini.folder / FOLD.format("handed", "train.log")).read_text()
    assert "init from exp/other/seed1/fold1/pretrain/best.pt" in log
    done = mini(
        *options, "--tag", "leak", "--folds", "2", "--init-wap", "exp/own", "--set", *SMALL,
        ok=False,
    )  # fmt: skip
    log = (mini.folder / "exp/leak/seed1/fold2/train.log").read_text()
    assert done.returncode != 0 and "that fold 2 holds out" in log


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "probe", "--unlabelled", "fold"], "feeds a phase 'pretrain'"),
        (["--method", "local_attributes", "--init-wap", "exp/own"], "use --method wap"),
        (["--method", "wap", "--init-wap", "exp/none"], "exp/none"),
    ],
)
def test_options_that_do_not_fit(mini, options, message):
    done = mini("--stage", "6", "--folds", "1", "--tag", "unfit", *options, ok=False)
    log = mini.folder / FOLD.format("unfit", "train.log")
    said = done.stderr + (log.read_text() if log.is_file() else "")
    assert done.returncode != 0 and message in said and "Traceback" not in said
