# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The two-stage method through run.sh, here with recognition in both stages and beam search."""

import json

import pytest
import torch

from sertl.data.datadir import read_data_dir
from sertl.data.table import read_table
from sertl.train.checkpoint import load
from sertl.upstream.tiny import save_wav2vec2

SMALL = (
    "optim_conf.epochs=1", "data_conf.max_sec=2.5", "data_conf.share=0.4",
    "phase2.select_conf.lambdas=[0,1]",
    "phase2.model_conf.tasks=[emo,asr,gender,style]",
    "phase2.upstream_conf.peft.lora.rank=4", "phase2.upstream_conf.peft.lora.alpha=4",
    "phase2.upstream_conf.peft.adapter.width=8", "decode_conf.beam=4",
)  # fmt: skip


@pytest.fixture(scope="module")
def fold(recipe, tmp_path_factory):
    """One fold of the mini recipe, trained with a tiny wav2vec 2.0, decoded and scored."""
    run = recipe("mini")
    ckpt = tmp_path_factory.mktemp("tiny") / "wav2vec2.pt"
    torch.manual_seed(0)
    save_wav2vec2(ckpt)
    options = ("--upstream", "tiny_wav2vec2", "--ckpt", str(ckpt), "--method", "two_stage")
    run(*options, "--stop-stage", "8", "--folds", "1", "--tag", "two", "--set", *SMALL)
    return run.folder / "exp/two/seed1/fold1"


def test_both_stages_ran_and_all_tasks_are_scored(fold):
    log = (fold / "train.log").read_text()
    assert "utts longer than 2.5 s left out of training" in log and "init from" in log
    shares = [json.loads((fold / f"phase{i}/run.json").read_text())["loss_weights"] for i in (1, 2)]
    assert shares[0] == pytest.approx({"emo": 0.9, "asr": 0.1})
    assert shares[1] == pytest.approx({"emo": 0.7, "asr": 0.1, "gender": 0.1, "style": 0.1})
    entries = [json.loads(line) for line in (fold / "phase1/log.jsonl").open()]
    assert any("wer" in entry for entry in entries if entry["kind"] == "dev")
    assert "recognition has not learned to read" in log  # in one epoch
    scores = json.loads((fold / "score_test.json").read_text())
    assert "emotion" in scores and scores["classes"].keys() == {"gender", "style"}


def test_text_is_written_and_scored(fold):
    test = read_data_dir(fold.parents[3] / "data/fold1/test")
    assert set(read_table(fold / "decode_test/hyp_text")) == set(test.utts)
    text = json.loads((fold / "score_test.json").read_text())["text"]
    assert text["words"] > 0 and text["wer"] > 0 and text["cer"] > 0


def test_stage_2_keeps_the_encoder_of_stage_1(fold):
    """Trap 5: without it, decoding would take the released encoder."""
    first, second = (load(fold / f"phase{i}/best.pt")["model"] for i in (1, 2))
    encoder = {name: tensor for name, tensor in first.items() if name.startswith("upstream.")}
    assert encoder and all(torch.equal(second[name], t) for name, t in encoder.items())
    parts = {name.split(".peft.")[1].split(".")[0] for name in second if ".peft." in name}
    assert parts == {"lora", "adapter"}
