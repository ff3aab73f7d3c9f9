# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Groups of speakers judge a later phase from starts that have not seen them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sertl.atomic import write_json
from sertl.data.datadir import DataDir, Utterance, read_table, write_data_dir
from sertl.data.folds import PROTOCOL
from sertl.errors import SertlError
from sertl.runs import Run
from sertl.stages import training
from sertl.stages.experiment import resolve
from sertl.stages.group_starts import (
    hands_over,
    results_of_groups,
    start_without,
    tell_starts,
)
from sertl.stages.training_data import save_ids
from sertl.train import checkpoint, solved_start
from sertl.upstream.tiny import save_hubert

CONF = Path(__file__).resolve().parents[2] / "conf"
FAST = [
    "optim_conf.updates=2", "optim_conf.eval_updates=0", "optim_conf.warmup=0.0",
    "optim_conf.lr=0.01", "select=last", "start=random", "data_conf.time_mask=0.0",
    "data_conf.batch_size=4", "model_conf.tasks=[emo]", "select_conf.folds=2",
    "select_conf.lambdas=[1.0]", "phase2.select_conf.lambdas=[0,1]",
    "phase2.upstream_conf.peft.lora.rank=2", "phase2.upstream_conf.peft.adapter.width=4",
]  # fmt: skip


def data_of(speakers):
    utts = [Utterance(f"{spk}-{i}", spk, "x.wav", 1.0, emo="a") for spk in speakers for i in "12"]
    return DataDir(Path("x"), {u.utt: u for u in utts}, ["a"], None)


def with_result(folder, speakers=None):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "best.pt").touch()
    if speakers is not None:
        save_ids(folder, data_of(speakers))


def test_a_start_without_the_speakers_is_taken_where_there_is_one(tmp_path, caplog):
    with_result(tmp_path, "abcd")
    with_result(tmp_path / "select1", "cd")
    with_result(tmp_path / "select2", "abc")  # of other groups: c was not held out
    with_result(tmp_path / "select3")  # does not say on whom it was trained
    assert start_without(data_of("ab"), None, "select1") is None
    assert start_without(data_of("ab"), tmp_path, "select1") == tmp_path / "select1"
    for name, speakers in (("select2", "cd"), ("select3", "ab"), ("select4", "xy")):
        assert start_without(data_of(speakers), tmp_path, name) == tmp_path
    with caplog.at_level("INFO"):
        tell_starts({"select1": data_of("ab"), "select4": data_of("xy")}, tmp_path, "main")
    assert f"select1 starts from {tmp_path / 'select1'}" in caplog.text
    assert "held out here" not in caplog.text
    tell_starts({"select1": data_of("ab"), "select2": data_of("cx")}, tmp_path, "main")
    assert f"main starts from {tmp_path}, which was trained on 2 of the 8 utter" in caplog.text
    assert results_of_groups(tmp_path, 2) == [tmp_path / f"select{n}/best.pt" for n in (1, 2)]
    assert results_of_groups(tmp_path, 0) == results_of_groups(None, 2) == []


@pytest.mark.parametrize(
    ("folds", "later", "start", "expected"),
    [
        (3, 3, "first", True),
        (3, 2, "first", False),
        (0, 0, "first", False),
        (3, 3, None, False),
        (3, 3, "exp/other/first", False),
        ("refit", "refit", "first", True),  # both hold dev out, which the result of the first saw
        ("refit", 3, "first", False),
        (3, "refit", "first", False),
        (0, "refit", "first", False),  # the result of the first has not seen dev
        ("refit", "given", "first", False),  # nothing for which dev would be asked
    ],
)
def test_who_hands_over(folds, later, start, expected):
    def phase(name, kind, start=None):
        kinds = {"refit": (0, True, [0, 1]), "given": (0, True, [1.0])}
        folds, refit, lambdas = kinds.get(kind) or (kind, False, [0, 1])
        conf = {"folds": folds, "refit": refit, "lambdas": lambdas}
        return {"name": name, "select": "last", "select_conf": conf, "init": {"from": start}}

    first, second = phase("first", folds), phase("second", later, start)
    assert hands_over({"phases": [first, second]}, first) is expected
    assert not hands_over({"phases": [first, second]}, second)


@pytest.fixture
def conf(tmp_path):
    """Two stages on a tiny encoder, four speakers, dev and test; both with two groups."""
    rng = np.random.default_rng(0)
    for part, speakers in {"train": "abcd", "dev": "e", "test": "f"}.items():
        utts = []
        for name in (f"{spk}-{n}" for spk in speakers for n in range(4)):
            wav = str(tmp_path / f"{name}.wav")
            soundfile.write(wav, 0.1 * rng.standard_normal(4000), 16000)
            emo = ("ang", "sad")[int(name[-1]) % 2]
            utts.append(Utterance(name, name[0], wav, 0.25, emo=emo))
        write_data_dir(tmp_path / "data/fold1" / part, utts, ["ang", "sad"])
    rule = {"protocol": "loso", "select": "dev_ua", "fold_hash": "0"}
    write_json(tmp_path / "data/fold1" / PROTOCOL, rule)
    save_hubert(tmp_path / "hubert.pt")
    ckpt, data = str(tmp_path / "hubert.pt"), str(tmp_path / "data")
    return resolve(CONF, "tiny_hubert", "two_stage/no_fusion", FAST, ckpt, data)


def test_the_second_stage_is_judged_by_speakers_that_no_stage_has_seen(
    conf, tmp_path, monkeypatch, caplog
):
    run, starts = Run(tmp_path / "exp", 1, 1), []
    real = training.start_model
    monkeypatch.setattr(
        training, "start_model", lambda m, c, p, start: (starts.append(start), real(m, c, p, start))
    )

    def train():
        for phase in conf["phases"]:
            training.train_phase(conf, phase, run, use_gpu=False, redo=False)

    train()
    first, second = (run.phase(phase["name"]) for phase in conf["phases"])
    assert starts == [None] * 3 + [first / "select1", first / "select2", first]
    assert "held out here" not in caplog.text
    held_out = [{*"abcde"} - {*read_table(first / f"select{n}/train_ids").values()} for n in (1, 2)]
    assert sorted([*held_out[0], *held_out[1]]) == [*"abcde"] and all(held_out)
    # What the second needs stays, also when the first is asked for again; its own does not.
    train()
    assert [p.parent.name for p in sorted(first.glob("select*/*.pt"))] == ["select1", "select2"]
    assert not [*second.glob("select*/*.pt")] and len(starts) == 6
    weights = [checkpoint.load(p / "best.pt", "model")["model"] for p in (first, first / "select1")]
    moved = [n for n in weights[0] if not torch.equal(weights[0][n], weights[1][n])]
    assert any(name.startswith("upstream.") for name in moved)


def test_other_results_of_groups_are_another_start(conf, tmp_path):
    first, second = conf["phases"]
    run = Run(tmp_path / "exp", 1, 1)
    for phase in (first, second):
        training.train_phase(conf, phase, run, use_gpu=False, redo=False)
    path = run.phase(first["name"]) / "select2/best.pt"
    saved = checkpoint.load(path)
    checkpoint.save(path, {**saved, "share": 0.5})
    with pytest.raises(SertlError, match="init_groups"):
        training.train_phase(conf, second, run, use_gpu=False, redo=False)


def test_the_second_stage_starts_from_what_the_first_chose(conf, tmp_path, monkeypatch):
    """While the encoder knew no speaker; each group's training from what its own first one did."""
    started, choices = {}, []
    run_training, choose = training.Trainer.run, solved_start.choose

    def run_and_tell(trainer):
        state = run_training(trainer)
        started[str(trainer.out.relative_to(run.folder))] = trainer.started["emo"]
        return state

    def choose_and_count(*args):
        choice = choose(*args)
        choices.append(choice.parts)
        return choice

    monkeypatch.setattr(training.Trainer, "run", run_and_tell)
    monkeypatch.setattr(solved_start, "choose", choose_and_count)
    run = Run(tmp_path / "exp", 1, 1)
    for phase in conf["phases"]:
        phase["start"] = "solved"
        training.train_phase(conf, phase, run, use_gpu=False, redo=False)
    assert [started[f"phase1{n}"] for n in ("/select1", "/select2", "")] == choices
    assert [started[f"phase2{n}"] for n in ("/select1", "/select2", "")] == choices


def test_dev_is_new_to_the_second_stage_though_the_first_has_trained_on_it(conf, tmp_path, caplog):
    """Refit alone: dev is the one group, held out of both stages before both train on it."""
    run = Run(tmp_path / "exp", 1, 1)
    for phase in conf["phases"]:
        phase["select_conf"] |= {"folds": 0, "refit": True}
    caplog.set_level("INFO")
    for phase in conf["phases"]:
        training.train_phase(conf, phase, run, use_gpu=False, redo=False)
    first, second = (run.phase(phase["name"]) for phase in conf["phases"])
    assert f"select1 starts from {first / 'select1'}" in caplog.text
    assert "held out here" not in caplog.text
    for folder, speakers in ((first / "select1", "abcd"), (second, "abcde")):
        assert {*read_table(folder / "train_ids").values()} == {*speakers}
