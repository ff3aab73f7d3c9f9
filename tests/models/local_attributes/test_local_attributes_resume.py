# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Adapter training without labels: exact resume, and its hand-over to fine-tuning."""

import json

import pytest
import torch
from fakes import build_model, fake_dataset
from wap_batches import SIZE, SMALL, SPEC, make, make_batch

from sertl.errors import SertlError
from sertl.models.local_attributes.target_diagnostics import Window
from sertl.seed import seed_everything
from sertl.stages.start import freeze
from sertl.train import checkpoint
from sertl.train.loop import Trainer

ALL_NEW = {"codebook": "frames", "momentum": None, "target_norm": "corpus", "cluster_patience": 2}


def trainer(out, conf, distil):
    seed_everything(1)
    more = {"distil": distil}
    if distil == "everything":
        more = {"distil": "regress", "utterance_weight": 1.0, **ALL_NEW}
    model = build_model("local_attributes", SPEC, None, {**SMALL, **more})
    model.window = Window(SIZE, 5, updates=4, frames=50)
    out.mkdir(parents=True, exist_ok=True)
    data = fake_dataset(16), fake_dataset(8)
    return Trainer(model, conf, *data, out, 1, "dev_loss", torch.device("cpu"))


def logged(out):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in e.items() if not k.endswith("sec")} for e in lines]


@pytest.mark.parametrize(
    ("distil", "save_updates"), [("regress", 2), ("soft", 0), ("everything", 0)]
)
def test_resume_is_exact(tmp_path, phase_conf, distil, save_updates, monkeypatch):
    """Killed in the middle of an epoch: the same teacher, centroids and diagnostics after."""
    optim = {"epochs": 4, "save_updates": save_updates}
    conf = phase_conf(optim_conf=optim, data_conf={"batch_size": 6})
    whole = trainer(tmp_path / "whole", conf, distil)
    whole.run()
    killed = trainer(tmp_path / "killed", conf, distil)
    after_step = killed.model.after_step

    def die(update, total):
        after_step(update, total)
        if update == 8:
            raise KeyboardInterrupt

    monkeypatch.setattr(killed.model, "after_step", die)
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    resumed = trainer(tmp_path / "killed", conf, distil)
    torch.rand(7)  # the new process has another random state before it resumes
    resumed.run()
    state = checkpoint.trained_state(whole.model)
    assert {"online_clusters.sums", "online_clusters.counts", "teacher.mix.scores"} <= state.keys()
    for name, tensor in checkpoint.trained_state(resumed.model).items():
        assert torch.equal(tensor, state[name]), name
    entries = logged(tmp_path / "whole")
    assert entries == logged(tmp_path / "killed")
    found = [e for e in entries if e["kind"] == "diagnostics"]
    assert [e["update"] for e in found] == [4, 8, 12]
    assert 1.0 <= found[0]["perplexity"] <= 5.0
    assert (found[0]["ema_decay"] >= 0.999) == (distil != "everything")


def test_the_teacher_goes_the_share_of_the_way_that_the_student_goes(tmp_path, phase_conf):
    """It is the result of the phase, and has no gradient."""
    conf = phase_conf(
        optim_conf={"epochs": 3, "lr": 0.05},
        data_conf={"batch_size": 6},
        select_conf={"lambdas": [0.25]},
    )
    one = trainer(tmp_path, conf, "everything")
    start = {n: p.clone() for n, p in one.model.teacher.named_parameters()}
    one.run()
    saved, ended = (checkpoint.load(tmp_path / f"{name}.pt")["model"] for name in ("best", "last"))
    moved = 0
    for name, before in start.items():
        end = ended[f"teacher.{name}"]
        torch.testing.assert_close(saved[f"teacher.{name}"], before.lerp(end, 0.25))
        moved += not torch.equal(before, end)
    assert moved > 5


@pytest.mark.parametrize("part", ["teacher", "student"])
def test_fine_tuning_starts_from_the_stored_adapter(part):
    source = make()
    with torch.no_grad():
        for parameter in source.student.parameters():
            parameter.add_(1.0)  # so that teacher and student differ
    state = checkpoint.trained_state(source)
    conf = {"wap": {"blocks": 2, "ffn": 8}}
    model = build_model("wap", SPEC, None, conf)
    counts = checkpoint.init_from(model, state, "x", {"wap": part})
    stored = getattr(source, part).state_dict()
    assert counts["loaded"] == len(stored) + 1  # and mix.scores
    for name, tensor in model.wap.state_dict().items():
        assert torch.equal(tensor, stored[name]), name
    with pytest.raises(SertlError, match="the two hold different tensors"):
        other = build_model("wap", SPEC, None, {"wap": {"blocks": 1, "ffn": 8}})
        checkpoint.init_from(other, state, "x", {"wap": part})


def test_a_frozen_adapter_neither_trains_nor_drops():
    model = build_model("wap", SPEC, None, {"wap": {"blocks": 1, "dropout": 0.5}, "dropout": 0.0})
    freeze(model, {"name": "main", "init": {"from": "pretrain", "freeze": ["wap"]}})
    model.train()
    batch = make_batch()
    assert not model.wap.training and model.pooling.training
    assert torch.equal(model.predict(batch)["emo"], model.predict(batch)["emo"])
    assert not any(p.requires_grad for p in model.wap.parameters())
