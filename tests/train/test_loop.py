# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The training loop: exact resume, cutting of batches, selection, refusal of non-finite losses."""

import json

import pytest
import torch
from fakes import LABELS, build_model, fake_dataset

from sertl.errors import SertlError
from sertl.models.base import Spec
from sertl.seed import seed_everything
from sertl.train import checkpoint, loop
from sertl.train.loop import Trainer

SPEC = Spec(labels=LABELS, hidden_size=6, layers=[0, 1], vad_range=(1.0, 5.0))
MODEL = {
    "pooling": "stat_attentive",
    "hidden": 8,
    "activation": "relu",
    "dropout": 0.2,
    "standardise": True,
}


def make(out, conf, select="dev_ua", model_conf=MODEL, seed=1, dev=True, **data):
    seed_everything(seed)
    model = build_model("probe", SPEC, None, model_conf)
    train_set = fake_dataset(**data)
    dev_set = fake_dataset(12, **data) if dev else None
    out.mkdir(parents=True, exist_ok=True)
    return Trainer(model, conf, train_set, dev_set, out, seed, select, torch.device("cpu"))


def weights(trainer):
    return checkpoint.trained_state(trainer.model)


def logged(out):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in e.items() if not k.endswith("sec")} for e in lines]


@pytest.mark.parametrize("save_updates", [0, 2])
@pytest.mark.parametrize("stop_at", [5, 9])
@pytest.mark.parametrize("ema", [0.0, 0.7])
def test_resume_is_exact(tmp_path, phase_conf, save_updates, stop_at, ema, monkeypatch):
    """Killed in the middle of an epoch and started again: the same weights, log and choice."""
    conf = phase_conf(
        optim_conf={"epochs": 4, "save_updates": save_updates, "ema": ema},
        data_conf={"batch_size": 8},
    )
    whole = make(tmp_path / "whole", conf)
    whole.run()

    killed = make(tmp_path / "killed", conf)
    after_step = killed.model.after_step

    def die(update, total):
        after_step(update, total)
        if update == stop_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(killed.model, "after_step", die)
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    resumed = make(tmp_path / "killed", conf, seed=1)
    torch.rand(7)  # the new process has another random state before it resumes
    resumed.run()

    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(resumed)[name]), name
    assert logged(tmp_path / "whole") == logged(tmp_path / "killed")
    best = [checkpoint.load(tmp_path / d / "best.pt")["model"] for d in ("whole", "killed")]
    assert all(torch.equal(best[0][n], best[1][n]) for n in best[0])


def test_resume_between_the_last_update_and_the_end_of_an_epoch(tmp_path, phase_conf, monkeypatch):
    """The log is the same too: the epoch's means, and the learning rate of its last update."""
    conf = phase_conf(optim_conf={"epochs": 2, "save_updates": 1}, data_conf={"batch_size": 8})
    make(tmp_path / "whole", conf).run()
    killed = make(tmp_path / "killed", conf)
    monkeypatch.setattr(killed.record, "end_epoch", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        killed.run()
    make(tmp_path / "killed", conf).run()
    whole = logged(tmp_path / "whole")
    assert whole == logged(tmp_path / "killed")
    assert all(entry["lr"] > 0 for entry in whole if entry["kind"] == "train")


def test_cutting_batches_changes_nothing(tmp_path, phase_conf):
    """One micro-batch of 12 utterances or many small ones: the same training."""
    still = {**MODEL, "dropout": 0.0}
    results = []
    for limit in (1000.0, 6.0):
        conf = phase_conf(
            optim_conf={"epochs": 2}, data_conf={"batch_size": 12, "batch_sec": limit}
        )
        trainer = make(tmp_path / str(limit), conf, model_conf=still)
        trainer.run()
        results.append(weights(trainer))
    for name, tensor in results[0].items():
        torch.testing.assert_close(tensor, results[1][name], rtol=1e-4, atol=1e-6)


def test_same_seed_same_numbers_other_seed_others(tmp_path, phase_conf):
    conf = phase_conf(optim_conf={"epochs": 2})
    runs = []
    for number, seed in enumerate((1, 1, 2)):
        trainer = make(tmp_path / str(number), conf, seed=seed)
        trainer.run()
        runs.append(weights(trainer))
    first, same, other = runs
    assert all(torch.equal(first[n], same[n]) for n in first)
    assert any(not torch.equal(first[n], other[n]) for n in first)


def test_a_stop_before_the_first_save_leaves_no_trace(tmp_path, phase_conf, monkeypatch):
    """Killed after the first epoch was logged, before its state was saved."""
    conf = phase_conf(optim_conf={"epochs": 2})
    make(tmp_path / "whole", conf).run()
    killed = make(tmp_path / "killed", conf)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            killed.run()
    make(tmp_path / "killed", conf).run()
    assert logged(tmp_path / "whole") == logged(tmp_path / "killed")


def test_a_score_that_is_no_number_is_never_the_best(tmp_path, phase_conf, monkeypatch):
    conf = phase_conf(optim_conf={"epochs": 4})
    trainer = make(tmp_path, conf, select="dev_loss")
    losses = iter([9.0, float("nan"), 3.0, float("nan"), 2.0])  # the first before any update

    def dev():
        return {"loss": next(losses)}

    monkeypatch.setattr(trainer, "_dev", dev)
    state = trainer.run()
    assert (state.best, state.best_epoch) == (2.0, 4)


def test_learns_and_keeps_the_best_epoch(tmp_path, phase_conf):
    conf = phase_conf(optim_conf={"epochs": 30, "lr": 0.02}, data_conf={"batch_size": 8})
    trainer = make(tmp_path, conf, spread=0.3)
    state = trainer.run()
    entries = logged(tmp_path)
    dev = [e for e in entries if e["kind"] == "dev"]
    assert state.best == max(e["ua"] for e in dev) > 0.9
    # a tie keeps the earlier epoch
    assert state.best_epoch == next(e["epoch"] for e in dev if e["ua"] == state.best)
    losses = [e["loss"] for e in entries if e["kind"] == "train"]
    assert losses[-1] < 0.3 * losses[0]


def test_patience_stops_early(tmp_path, phase_conf):
    conf = phase_conf(optim_conf={"epochs": 50, "lr": 0.05, "patience": 3})
    state = make(tmp_path, conf, spread=0.1).run()
    assert state.epoch == state.best_epoch + 3 < 50


def test_last_epoch_without_dev(tmp_path, phase_conf):
    conf = phase_conf(optim_conf={"epochs": 3})
    trainer = make(tmp_path, conf, select="last", dev=False)
    state = trainer.run()
    assert (state.best_epoch, state.best) == (3, None)
    best = checkpoint.load(tmp_path / "best.pt")["model"]
    assert all(torch.equal(best[n], t) for n, t in weights(trainer).items())


def test_selection_without_dev_is_refused(tmp_path, phase_conf):
    with pytest.raises(SertlError, match="needs a dev set"):
        make(tmp_path, phase_conf(), dev=False)
    with pytest.raises(SertlError, match="did you mean 'dev_ua'"):
        make(tmp_path, phase_conf(), select="dev_uaa")


def test_metric_the_model_does_not_give(tmp_path, phase_conf):
    trainer = make(tmp_path, phase_conf(), select="dev_ccc")
    with pytest.raises(SertlError, match="gives no dev ccc"):
        trainer.run()


def test_dimensional_task_is_selected_by_ccc(tmp_path, phase_conf):
    conf = phase_conf(optim_conf={"epochs": 20, "lr": 0.02}, data_conf={"batch_size": 8})
    model_conf = {**MODEL, "tasks": ["emo", "vad"]}
    state = make(tmp_path, conf, select="dev_ccc", model_conf=model_conf, spread=0.3).run()
    assert state.best > 0.5


@pytest.mark.parametrize(
    ("standardise", "message"),
    [(False, "loss is (nan|inf) in epoch 1.*{}"), (True, "hidden states of {} are not finite")],
)
def test_non_finite_features_stop_with_the_utterances(tmp_path, phase_conf, standardise, message):
    conf = phase_conf(data_conf={"batch_size": 4})
    trainer = make(tmp_path, conf, model_conf={**MODEL, "standardise": standardise})
    broken = trainer.train_set.utts[5].utt
    trainer.train_set.feats._arrays[broken][0, 0, 0] = float("inf")
    with pytest.raises(SertlError, match=message.format(broken)):
        trainer.run()
    assert not (tmp_path / "best.pt").exists()


def test_balanced_sampling_needs_labels(tmp_path, phase_conf):
    conf = phase_conf(data_conf={"sampler": "balanced"}, name="frames")
    make(tmp_path / "labelled", conf)
    data = fake_dataset()
    data.emo = [-1] * len(data)
    model = build_model("probe", SPEC, None, MODEL)
    with pytest.raises(SertlError, match="the frames phase reads no emotion labels; set it for"):
        Trainer(model, conf, data, None, tmp_path, 1, "last", torch.device("cpu"))


def test_bf16_autocast_trains(tmp_path, phase_conf):
    bf16 = {"epochs": 20, "lr": 0.02, "autocast": "bf16"}
    conf = phase_conf(optim_conf=bf16, data_conf={"batch_size": 8})
    state = make(tmp_path, conf, spread=0.3).run()
    assert state.best > 0.8


@pytest.mark.parametrize("save_updates", [0, 1])
def test_a_budget_of_updates_ends_within_an_epoch(tmp_path, phase_conf, save_updates, monkeypatch):
    """Three updates an epoch, 7 of a schedule of 20: weights and rates of the first 7 of 20."""
    conf = phase_conf(
        optim_conf={"epochs": 50, "save_updates": save_updates}, data_conf={"batch_size": 8}
    )
    seen = []

    def run(folder, budget, stop_at=0):
        seed_everything(1)
        model = build_model("probe", SPEC, None, MODEL)
        (tmp_path / folder).mkdir(exist_ok=True)
        data = fake_dataset()
        trainer = Trainer(
            model, conf, data, None, tmp_path / folder, 1, "last", torch.device("cpu"), None, budget
        )
        after_step = trainer.model.after_step

        def note(update, total):
            after_step(update, total)
            seen.append((update, total, trainer.state.lr))
            if update == stop_at:
                raise KeyboardInterrupt

        monkeypatch.setattr(trainer.model, "after_step", note)
        return trainer.run(), trainer

    state, whole = run("whole", (7, 20))
    assert state.update == 7 and [s[:2] for s in seen] == [(u, 20) for u in range(1, 8)]
    assert seen[-1][2] == pytest.approx(conf["optim_conf"]["lr"] * (1 - (6 - 2) / 18))
    best = checkpoint.load(tmp_path / "whole/best.pt")["model"]
    assert all(torch.equal(best[n], t) for n, t in weights(whole).items())
    with pytest.raises(KeyboardInterrupt):
        run("killed", (7, 20), stop_at=6)
    _, again = run("killed", (7, 20))
    assert all(torch.equal(weights(again)[n], t) for n, t in weights(whole).items())
