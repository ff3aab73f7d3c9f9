# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The IEMOCAP recipe end to end on a synthetic tree of its shape, with a live encoder as well."""

import json
import subprocess
import sys

import pytest
from copies import recipe_env

from sertl.data.datadir import read_data_dir

FAST = ("--set", "optim_conf.epochs=4", "optim_conf.patience=0")


@pytest.fixture(scope="module")
def iemocap(recipe):
    """The recipe, with a corpus in downloads/synthetic, run on two of its five folds."""
    run = recipe("iemocap")
    subprocess.run(
        [sys.executable, "local/make_synthetic.py", "downloads/synthetic"]
        + ["--turns-per-session", "24"],
        cwd=run.folder, env=recipe_env(), check=True, capture_output=True, timeout=600,
    )  # fmt: skip
    corpus = ("--corpus-dir", "downloads/synthetic")
    corpus += ("--corpus-conf", "downloads/synthetic/corpus.yaml")
    options = (*corpus, "--upstream", "fbank", "--method", "sap", "--folds", "1 2", "--tag", "sap")
    run(*options, *FAST, "model_conf.tasks=[emo,vad]")
    return run, corpus


def test_speakers_and_sessions_are_right(iemocap):
    run, _ = iemocap
    for fold in range(1, 6):
        parts = [
            read_data_dir(run.folder / f"data/fold{fold}" / p) for p in ("train", "dev", "test")
        ]
        sessions = [{u.session for u in part.utts.values()} for part in parts]
        assert len(sessions[0]) == 3 and len(sessions[1]) == len(sessions[2]) == 1
        for part in parts:
            for utt in part.utts.values():  # the speaker's letter is that of the last field
                assert utt.utt.rsplit("_", 1)[1][0] == utt.spk[-1]
                assert utt.gender == utt.spk[-1].lower()


def test_classes_and_dimensions_are_scored(iemocap):
    run, _ = iemocap
    results = json.loads((run.folder / "exp/sap/results.json").read_text())
    text = json.dumps(results)
    assert "ccc" in text and "ua" in text
    report = (run.folder / "exp/sap/report.html").read_text()
    assert (
        "CCC" in report
        and "http://" not in report
        and "https://" not in report.replace("https://github.com", "")
    )


def test_another_policy_and_protocol_live_beside_it(iemocap):
    run, corpus = iemocap
    before = (run.folder / "data/all/utt2emo").read_bytes()
    options = ("--policy", "5class", "--protocol", "fixed", "--stop-stage", "2")
    run(*corpus, *options)
    assert "fru" in read_data_dir(run.folder / "data/5class/all").labels
    assert not (run.folder / "data/5class/fixed/fold1/dev").exists()
    assert (run.folder / "data/all/utt2emo").read_bytes() == before


@pytest.fixture(scope="module")
def hubert(tmp_path_factory, repository):
    """A tiny HuBERT with random weights."""
    out = tmp_path_factory.mktemp("tiny")
    script = repository / "tools/make_tiny_upstreams.py"
    subprocess.run(
        [sys.executable, str(script), str(out)], env=recipe_env(), check=True, capture_output=True
    )
    return next(out.glob("*hubert*.pt"))


def test_live_and_dumped_features_train_alike_and_finetuning_runs(iemocap, hubert):
    """Frozen: the same epochs from arks and from audio. Tuned: the encoder's weights are saved."""
    run, corpus = iemocap
    common = (*corpus, "--upstream", "tiny_hubert", "--ckpt", str(hubert), "--folds", "1")
    stages = ("--stage", "3", "--stop-stage", "6")
    run(*common, *stages, "--method", "probe", "--tag", "feats", *FAST)
    run(*common, *stages, "--method", "probe", "--tag", "wav", *FAST, "input=wav")
    logs = []
    for tag in ("feats", "wav"):
        lines = (run.folder / f"exp/{tag}/seed1/fold1/main/log.jsonl").read_text().splitlines()
        logs.append([json.loads(line)["loss"] for line in lines])
    assert logs[1] == pytest.approx(logs[0], rel=0.02)  # the dump holds 16 bits

    run(*common, *stages, "--method", "finetune", "--tag", "tuned", "--set", "optim_conf.epochs=1")
    frozen, tuned = (
        json.loads((run.folder / f"exp/{tag}/seed1/fold1/main/run.json").read_text())["params"]
        for tag in ("wav", "tuned")
    )
    assert tuned["trained"] > frozen["trained"] and tuned["frozen"] > 0  # convolutions stay
