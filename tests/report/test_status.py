# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""How far an experiment is, from the files that its jobs leave."""

import json

import pytest
from trained_tiny import CONF

from sertl import fingerprint
from sertl.atomic import write_json, write_text
from sertl.errors import SertlError
from sertl.lock import alone, held
from sertl.report.status import PhaseStatus, duration, experiment_status, status_table, summary
from sertl.runs import Run
from sertl.stages.experiment import resolve
from sertl.yaml_text import save_yaml


@pytest.fixture
def exp(tmp_path):
    settings = ["phase1.optim_conf.epochs=8", "phase2.optim_conf.updates=50"]
    data, dump = str(tmp_path / "data"), str(tmp_path / "dump")
    conf = resolve(CONF, "tiny_hubert", "two_stage", settings, "", data, dump)
    save_yaml(tmp_path / "exp/config.yaml", conf)
    write_text(tmp_path / "data/num_folds", "3\n")
    return tmp_path / "exp"


def leave(folder, done, *entries):
    fingerprint.begin(folder, {})
    write_text(folder / "log.jsonl", "".join(json.dumps(e) + "\n" for e in entries))
    if done:
        fingerprint.finish(folder)


def test_every_state_is_seen(exp):
    dev = {"kind": "dev", "epoch": 3, "update": 30, "ua": 0.75, "best": True}
    train = {"kind": "train", "epoch": 4, "update": 40, "sec": 20.0}
    first, second = Run(exp, 1, 1), Run(exp, 1, 2)
    leave(first.phase("phase1"), True, dev, train)
    leave(first.phase("phase2"), False, dev, train)
    leave(second.phase("phase1"), False, train)
    with open(second.phase("phase1") / "log.jsonl", "a") as stream:
        stream.write('{"kind": "tr')  # the line that is being written
    write_json(first.decoded("test") / "x.json", {})
    with alone(first.phase("phase2"), wait=False):
        table = status_table(exp, experiment_status(exp))
        assert held(first.phase("phase2")) and not held(first.phase("phase1"))
    assert table.header == ["seed", "fold", "phase1", "phase2", "decoded", "test UA"]
    cells = [[cell.rpartition(",")[0] or cell for cell in row] for row in table.rows]
    assert cells == [
        ["1", "1", "done, dev UA 75.00", "running, update 40 of 50, dev UA 75.00", "–", "–"],
        ["1", "2", "stopped, epoch 4 of 8", "–", "–", "–"],
        ["1", "3", "–", "–", "–", "–"],
    ]
    assert table.rows[0][2].endswith("20 s")
    assert table.notes == ["1 of 6 jobs done, 1 running, 1 stopped, 3 waiting"]
    assert len(experiment_status(exp, seeds=[2], folds=[1])) == 4  # folds 1 and 2 have begun


def test_time_left_is_that_of_what_was_done_side_by_side():
    def one(name, state, sec=None):
        return PhaseStatus(name, state, sec=sec)

    found = [one("a", "done", 60), one("a", "done", 100), one("a", "running", 20)]
    found += [one("a", "running", 30), one("a", "waiting")]
    assert summary(found).endswith("2 running, 1 waiting, about 95 s left")  # (60 + 50 + 80) / 2
    assert summary([*found, one("b", "waiting")]).endswith("2 running, 2 waiting")
    assert [duration(s) for s in (5, 120, 9000)] == ["5 s", "2 min", "2.5 h"]


def test_what_is_no_experiment_is_said(tmp_path):
    with pytest.raises(SertlError, match="config.yaml"):
        experiment_status(tmp_path / "none")
