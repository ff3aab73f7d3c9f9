# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Raters' distributions as targets, from the data directory to the predicted shares."""

import json
import shutil
from dataclasses import replace

from trained_tiny import experiment

from sertl.data.datadir import read_data_dir, read_table, write_data_dir


def test_soft_labels_are_trained_on_and_predicted(corpus, tiny, tmp_path):
    """Everybody heard three to one, against the label: the model learns what was heard."""
    for part in ("all", "fold1/train", "fold1/dev", "fold1/test"):
        data = read_data_dir(corpus / "data" / part)
        utts = [replace(u, emo="ang", votes={"ang": 1.0, "sad": 3.0}) for u in data.utts.values()]
        write_data_dir(tmp_path / "data" / part, utts, data.labels)
    shutil.copy(corpus / "data/fold1/protocol.json", tmp_path / "data/fold1")
    settings = ["model_conf.loss=votes", "optim_conf.updates=60", "optim_conf.lr=0.02"]
    settings += ["data_conf.class_weights=none", "optim_conf.eval_updates=0"]
    run = experiment(tmp_path, tiny, tmp_path / "exp", "probe", *settings)
    log = (run.phase("main") / "log.jsonl").read_text().splitlines()
    assert json.loads(log[-1])["loss"] < 0.05  # a divergence: 0 where the shares are the raters'
    shares = read_table(run.decoded("test") / "hyp_votes")
    assert len(shares) == 6
    for words in shares.values():
        assert abs(float(words.split()[1]) - 0.75) < 0.15
