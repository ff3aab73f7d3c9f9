# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The number of updates by groups of training speakers: groups, best epoch, budget."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sertl.data.datadir import DataDir, Utterance
from sertl.errors import SertlError
from sertl.runs import Run
from sertl.stages.selecting import best_look, best_share, find_budget, joined, splits_of


def data_of(speakers, each=3):
    utts = [
        Utterance(f"{spk}-{i}", spk, "x.wav", 1.0, emo="ab"[i % 2])
        for spk in speakers
        for i in range(each)
    ]
    return DataDir(Path("x"), {u.utt: u for u in utts}, ["a", "b"], None)


def opened(folds=0, refit=False, dev="e"):
    return SimpleNamespace(
        phase={
            "name": "main",
            "select_conf": {"folds": folds, "refit": refit},
        },
        train=data_of("abcd"),
        dev=data_of(dev) if dev else None,
        run=Run(Path("exp"), 1, 1),
    )


LOSO = {"protocol": "loso"}


def test_groups_hold_whole_speakers_and_every_speaker_is_held_out_once():
    one = opened(folds=3)
    splits = splits_of(one, LOSO)
    assert [s.name for s in splits] == ["select1", "select2", "select3"]
    held = []
    for split in splits:
        inside = {u.spk for u in split.held_out.utts.values()}
        assert inside and not inside & {u.spk for u in split.train.utts.values()}
        assert {*split.train.utts} | {*split.held_out.utts} == set(joined(one).utts)
        held += sorted(inside)
    assert sorted(held) == list("abcde")
    assert [s.held_out.utts.keys() for s in splits_of(one, LOSO)] == [
        s.held_out.utts.keys() for s in splits
    ]


def test_refit_alone_uses_the_dev_set_and_published_protocols_keep_their_rule():
    (split,) = splits_of(opened(refit=True), LOSO)
    assert {u.spk for u in split.held_out.utts.values()} == {"e"}
    assert splits_of(opened(), LOSO) == []
    for protocol in ("superb", "fixed", "official"):
        assert splits_of(opened(folds=3, refit=True), {"protocol": protocol}) == []


def test_what_cannot_be():
    for one, words in (
        (opened(folds=9), "5 training and dev speakers"),
        (opened(folds=1), "or 2 to as many"),
        (opened(folds=2, dev=None), "need a dev set"),
    ):
        with pytest.raises(SertlError, match=words):
            splits_of(one, LOSO)


def test_best_epoch_by_hand():
    means = np.array([[0.5, 0.9], [0.7, 0.4], [0.7, 0.3], [0.6, 0.1]])
    assert best_look(means, "ua", None) == 1  # the earlier of equals
    assert best_look(means, "ua", "loss") == 2  # the one of the lower loss
    assert best_look(means, "loss", None) == 0


def test_lambda_is_chosen_by_what_is_told_apart_not_by_sureness():
    """Of 2 and 1 utterances: the loss of the phase is least at 0, the calibrated one at 0.5."""

    def log(*calibrated):
        pairs = enumerate(zip((0.0, 0.5, 1.0), calibrated, strict=True))
        return [
            {"kind": "lambda", "share": share, "loss": 1.0 + n, "loss_calibrated": found}
            for n, (share, found) in pairs
        ]

    logs = [log(0.6, 0.4, 0.5), log(0.6, 0.7, 0.9)]  # 0.6, 0.5, 0.63 on the mean
    assert best_share(logs, np.array([2, 1]) / 3, [0.0, 0.5, 1.0]) == 0.5
    without = [
        [{k: v for k, v in e.items() if k != "loss_calibrated"} for e in one] for one in logs
    ]
    assert best_share(without, np.array([2, 1]) / 3, [0.0, 0.5, 1.0]) == 0.0


def test_epochs_are_weighed_by_held_out_utterances(tmp_path):
    """Of 6, 6 and 3: epoch 1 (2.4 + 3.6 + 2.7) / 15 = 0.58, epoch 2 (3 + 4.8 + 1.2) / 15 = 0.6."""
    one = opened(folds=3)
    per_epoch = {"select1": 3, "select2": 4, "select3": 5}
    scores = {"select1": [0.4, 0.5], "select2": [0.6, 0.8], "select3": [0.9, 0.4]}
    sizes = []

    def make(split):
        def run():
            (tmp_path / split.name).mkdir()
            # Random heads may score well by luck; they are no choice.
            lines = [{"kind": "dev", "epoch": 0, "update": 0, "ua": 0.99, "loss": 1.0}]
            lines += [{"kind": "train", "epoch": 1}]
            for e, ua in enumerate(scores[split.name], start=1):
                where = {"epoch": e, "update": e * per_epoch[split.name]}
                lines.append({"kind": "dev", **where, "ua": ua, "loss": 1.0})
            (tmp_path / split.name / "log.jsonl").write_text(
                "".join(json.dumps(line) + "\n" for line in lines)
            )

        sizes.append(len(split.held_out.utts))
        return SimpleNamespace(run=run, total=100 + len(sizes), lambdas=[1.0], may_keep_start=False)

    budget = find_budget(splits_of(one, LOSO), make, tmp_path, "dev_ua")
    assert sizes == [6, 6, 3] and budget.epoch == 2
    assert budget.value == pytest.approx(0.6)
    assert budget.updates == 8 and budget.total == 102  # 2 epochs of (3 + 4 + 5) / 3 updates
    assert "8 updates by dev_ua, of 3 groups" in budget.words and budget.share == 1.0
    with pytest.raises(SertlError, match="nothing to choose by"):
        find_budget(splits_of(one, LOSO), make, tmp_path, "last")


def test_no_update_is_made_where_the_start_is_best(tmp_path):
    one = opened(folds=2)
    losses = {0.0: 0.4, 1.0: 0.5}

    def make(split):
        def run():
            (tmp_path / split.name).mkdir(exist_ok=True)
            lines = [{"kind": "dev", "epoch": 1, "update": 7, "ua": 0.5, "loss": 1.0}]
            lines += [{"kind": "lambda", "share": s, "loss": v} for s, v in losses.items()]
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (tmp_path / split.name / "log.jsonl").write_text(text)

        return SimpleNamespace(run=run, total=9, lambdas=[0.0, 1.0], may_keep_start=False)

    budget = find_budget(splits_of(one, LOSO), make, tmp_path, "last")
    assert (budget.updates, budget.total, budget.share, budget.epoch) == (0, 9, 0.0, 0)
    assert "started from train + dev, with no update" in budget.words
    losses[1.0] = 0.3
    budget = find_budget(splits_of(one, LOSO), make, tmp_path, "last")
    assert (budget.updates, budget.total, budget.share) == (7, 9, 1.0)
    assert "trained on train + dev" in budget.words
