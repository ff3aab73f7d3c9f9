# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Update 0, budgets in updates, and the way from the start to the result."""

import json

import pytest
import torch
from fakes import LABELS, build_model, fake_dataset

from sertl.errors import SertlError
from sertl.models.base import Spec
from sertl.seed import seed_everything
from sertl.train import checkpoint
from sertl.train.interpolation import Interpolation, check_lambdas
from sertl.train.loop import Trainer

SPEC = Spec(labels=LABELS, hidden_size=6, layers=[0, 1])
MODEL = {"pooling": "stat", "combine": "concat", "hidden": 8, "dropout": 0.2}
LAMBDAS = [0.0, 0.25, 0.5, 0.75, 1.0]


def make(out, conf, select="dev_ua", spread=6.0, dev=True, **options):
    seed_everything(1)
    model = build_model("probe", SPEC, None, MODEL)
    sets = fake_dataset(40, spread=spread), fake_dataset(16, spread=spread) if dev else None
    out.mkdir(parents=True, exist_ok=True)
    return Trainer(model, conf, *sets, out, 1, select, torch.device("cpu"), **options)


def logged(out, kind):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [e for e in lines if e["kind"] == kind]


def conf_of(phase_conf, lambdas=LAMBDAS, start="solved", **optim):
    optim = {"epochs": 0, "lr": 0.01, "warmup": 0.0, **optim}
    return phase_conf(
        start=start,
        optim_conf=optim,
        data_conf={"batch_size": 8},
        select_conf={"lambdas": lambdas},
    )


def test_budget_and_looks_in_updates(tmp_path, phase_conf):
    """5 batches an epoch; 12 updates, dev after 0, 4, 8 and 12: in epochs 0, 1, 2 and 3."""
    trainer = make(tmp_path, conf_of(phase_conf, updates=12, eval_updates=4), "last")
    state = trainer.run()
    assert (trainer.per_epoch, state.update, state.epoch) == (5, 12, 3)
    found = logged(tmp_path, "dev")
    assert [(e["update"], e["epoch"]) for e in found] == [(0, 0), (4, 1), (8, 2), (12, 3)]
    assert [e["update"] for e in logged(tmp_path, "train")] == [4, 8, 12]


def test_updates_by_training_frames(tmp_path, phase_conf):
    """40 utterances of 1 to 5 s, 120 s or 6,000 frames: one update for 500 of them."""
    trainer = make(tmp_path, conf_of(phase_conf, frames_per_update=500), "last")
    assert trainer.total == 12
    with pytest.raises(SertlError, match="set all but one to 0"):
        make(tmp_path / "two", conf_of(phase_conf, frames_per_update=500, updates=3), "last")


def test_no_updates_keep_the_start(tmp_path, phase_conf):
    trainer = make(tmp_path, conf_of(phase_conf))
    state = trainer.run()
    assert (state.update, state.best_update) == (0, 0)
    (dev,) = logged(tmp_path, "dev")
    assert dev["ua"] > 0.5 and state.best == dev["ua"]  # of the solved head, not of random weights


@pytest.mark.parametrize(("start", "kept"), [("solved", 0), ("random", 3)])
def test_update_0_can_be_chosen_where_it_is_worth_something(tmp_path, phase_conf, start, kept):
    """Dev worst after training, by a rate that ruins everything."""
    conf = conf_of(phase_conf, [1.0], start, updates=3, eval_updates=3, lr=30.0)
    state = make(tmp_path, conf, "dev_loss").run()
    assert state.best_update == kept


def test_lambda_is_the_one_of_the_least_calibrated_dev_loss(tmp_path, phase_conf):
    conf = conf_of(phase_conf, updates=10, eval_updates=5)
    trainer = make(tmp_path, conf, "last")
    trainer.run()
    found = logged(tmp_path, "lambda")
    assert [e["share"] for e in found] == LAMBDAS
    assert found[0]["loss"] == pytest.approx(logged(tmp_path, "dev")[0]["loss"], abs=1e-6)
    assert found[-1]["loss"] == pytest.approx(logged(tmp_path, "dev")[-1]["loss"], abs=1e-6)
    best = min(found, key=lambda e: (e["loss_calibrated"], e["share"]))
    assert trainer.state.share == best["share"]
    saved = checkpoint.load(tmp_path / "best.pt")
    assert saved["share"] == best["share"]
    # and best.pt holds these weights: start + lambda (result - start)
    ended = checkpoint.load(tmp_path / "last.pt")
    for name, start in ended["start"].items():
        way = start.lerp(ended["model"][name], best["share"])
        torch.testing.assert_close(saved["model"][name], way)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_lambda_found_elsewhere(tmp_path, phase_conf, share):
    conf = conf_of(phase_conf, updates=6)
    trainer = make(tmp_path, conf, "last", dev=False, budget=(6, 6), share=share)
    trainer.run()
    saved, ended = (checkpoint.load(tmp_path / f"{name}.pt") for name in ("best", "last"))
    for name, tensor in saved["model"].items():
        if name in ended["start"]:
            expected = ended["start"][name].lerp(ended["model"][name], share)
            torch.testing.assert_close(tensor, expected)
    assert saved["share"] == share


def test_a_budget_of_nothing_keeps_the_start_without_dev_too(tmp_path, phase_conf):
    """As where groups of speakers have chosen update 0."""
    conf = conf_of(phase_conf, updates=6)
    trainer = make(tmp_path, conf, "last", dev=False, budget=(0, 6), share=1.0)
    state = trainer.run()
    assert (state.update, trainer.record.seconds("train")) == (0, [])
    assert (tmp_path / "best.pt").is_file()


def test_without_dev_the_result_is_kept(tmp_path, phase_conf, caplog):
    caplog.set_level("INFO")
    trainer = make(tmp_path, conf_of(phase_conf, updates=3), "last", dev=False)
    assert trainer.run().share == 1.0 and "no dev set to choose lambda" in caplog.text


@pytest.mark.parametrize("stop_at", [3, 7, 10])
@pytest.mark.parametrize("ema", [0.0, 0.7])
def test_resume_is_exact(tmp_path, phase_conf, stop_at, ema, monkeypatch):
    conf = conf_of(phase_conf, updates=10, eval_updates=4, save_updates=2, ema=ema)
    make(tmp_path / "whole", conf).run()
    killed = make(tmp_path / "killed", conf)
    after_step = killed.model.after_step

    def die(update, total):
        after_step(update, total)
        if update == stop_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(killed.model, "after_step", die)
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    torch.rand(7)
    make(tmp_path / "killed", conf).run()
    for kind in ("dev", "lambda"):
        assert logged(tmp_path / "whole", kind) == logged(tmp_path / "killed", kind)
    one, other = (checkpoint.load(tmp_path / d / "best.pt") for d in ("whole", "killed"))
    assert one["share"] == other["share"]
    assert all(torch.equal(one["model"][n], other["model"][n]) for n in one["model"])


def test_a_kill_after_lambda_was_chosen_changes_nothing(tmp_path, phase_conf):
    conf = conf_of(phase_conf, updates=6, lr=0.05)
    make(tmp_path, conf).run()
    first, tried = checkpoint.load(tmp_path / "best.pt"), logged(tmp_path, "lambda")
    assert len(tried) == len(LAMBDAS)
    again = make(tmp_path, conf)
    again.run()
    second = checkpoint.load(tmp_path / "best.pt")
    assert again.state.share == first["share"] == second["share"]
    # The log of the last saved state has none of it; what chooses between groups reads them there.
    assert logged(tmp_path, "lambda") == tried
    del second["tried"]
    checkpoint.save(tmp_path / "best.pt", {**second, "share": 0.5})
    with pytest.raises(SertlError, match="left by an older version"):
        make(tmp_path, conf).run()
    assert all(torch.equal(first["model"][n], second["model"][n]) for n in first["model"])


def test_ends_of_the_way_are_exact():
    model = torch.nn.Linear(2, 2)
    way = Interpolation(model)
    start = model.weight.detach().clone()
    end = {"weight": start * 3.0, "bias": model.bias.detach() + 1.0}
    way.put(end, 1.0)
    assert torch.equal(model.weight, end["weight"])
    way.put(end, 0.25)
    torch.testing.assert_close(model.weight, start * 1.5)
    way.put(end, 0.0)
    assert torch.equal(model.weight, start)


@pytest.mark.parametrize("lambdas", [[], [1.5], "1", [True], [0.5, None]])
def test_bad_lambdas(lambdas):
    with pytest.raises(SertlError, match="expected numbers from 0 to 1"):
        check_lambdas(lambdas)


def test_a_head_on_the_output_chooses_lambda_where_there_is_one(tmp_path, phase_conf, monkeypatch):
    """Of a phase without labels: its own dev loss says nothing of what emotions have lost."""

    class Judge:
        def judge(self, model, device, dtype):
            here = torch.cat([p.detach().flatten() for p in model.parameters()])
            self.first = here if not hasattr(self, "first") else self.first
            far = float((here - self.first).norm())
            return {"ua": 0.5, "loss": abs(far - self.wanted * getattr(self, "whole", 0.0))}

    trainer = make(tmp_path, conf_of(phase_conf, start="random", updates=4, eval_updates=4), "last")
    trainer.head = judge = Judge()
    judge.wanted = 0.25
    original = Interpolation.put

    def put(way, result, share):
        if share == 0.0:  # from here to the result, whose way is what lambda counts
            original(way, result, 1.0)
            end = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
            judge.whole = float((end - judge.first).norm())
        original(way, result, share)

    monkeypatch.setattr(Interpolation, "put", put)
    assert trainer.run().share == 0.25
    found = logged(tmp_path, "lambda")
    assert [e["share"] for e in found] == LAMBDAS and {e["ua"] for e in found} == {0.5}
    assert len(logged(tmp_path, "frozen_head")) == 2
