# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The small recipe end to end: files, ids, scores, safe re-runs, a killed stage, bad options."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from copies import recipe_env

from sertl.data.datadir import read_data_dir
from sertl.data.table import read_table

FAST = ("--set", "optim_conf.epochs=6", "optim_conf.patience=0", "--tag", "mini")


@pytest.fixture(scope="module")
def mini(recipe):
    """Two folds through all stages."""
    run = recipe("mini")
    run("--folds", "1 2", *FAST)
    return run


def best_models(folder):
    return {p: p.read_bytes() for p in sorted(folder.glob("seed*/fold*/*/best.pt"))}


def test_every_stage_left_its_files_with_the_same_ids(mini):
    everything = set(read_data_dir(mini.folder / "data/all").utts)
    frames = read_table(mini.folder / "dump/fbank_no_cmvn/utt2num_frames")
    assert set(frames) == everything
    for fold in ("fold1", "fold2"):
        test = read_data_dir(mini.folder / "data" / fold / "test")
        train = read_data_dir(mini.folder / "data" / fold / "train")
        assert not {u.spk for u in test.utts.values()} & {u.spk for u in train.utts.values()}
        decoded = mini.folder / "exp/mini/seed1" / fold / "decode_test"
        assert set(read_table(decoded / "hyp_emo")) == set(test.utts)
    for name in ("RESULTS.md", "report.html", "config.yaml", "command.txt"):
        assert (mini.folder / "exp/mini" / name).stat().st_size > 0, name


def test_better_than_chance_and_not_void(mini):
    results = [
        json.loads((mini.folder / f"exp/mini/seed1/fold{k}/score_test.json").read_text())
        for k in (1, 2)
    ]
    for result in results:
        assert 0.35 < result["emotion"]["ua"] < 1.0


def test_running_again_recomputes_nothing(mini):
    exp = mini.folder / "exp/mini"
    watched = [
        *exp.glob("seed*/fold*/*/best.pt"),
        *mini.folder.glob("dump/fbank_no_cmvn/layer0/*.ark"),
    ]
    before = {p: p.stat().st_mtime_ns for p in watched}
    mini("--folds", "1 2", *FAST)
    assert {p: p.stat().st_mtime_ns for p in watched} == before


def test_a_report_is_made_again_from_the_numbers_alone(mini):
    """Without data, features and weights, in a process of its own."""
    exp, away = mini.folder / "exp/mini", mini.folder / "away"
    before = (exp / "RESULTS.md").read_text()
    for name in ("RESULTS.md", "report.html"):
        (exp / name).unlink()
    moved = [mini.folder / "data", mini.folder / "dump", *exp.glob("seed*/fold*/*/*.pt")]
    for number, path in enumerate(moved):
        away.mkdir(exist_ok=True)
        path.rename(away / str(number))
    try:
        subprocess.run(
            [sys.executable, "-m", "sertl.bin.report", "--exp", "exp/mini", "--set", "test"],
            cwd=mini.folder, env=recipe_env(), check=True, capture_output=True,
        )  # fmt: skip
    finally:
        for number, path in enumerate(moved):
            (away / str(number)).rename(path)
    assert (exp / "RESULTS.md").read_text() == before
    assert "data:image/png" in (exp / "report.html").read_text()


def test_a_checkpoint_opens_without_the_training_data(mini):
    """Stage 7 reads best.pt and the set that it decodes; data/fold1/train may be gone."""
    hyps = mini.folder / "exp/mini/seed1/fold1/decode_test/hyp_emo"
    before, train = hyps.read_bytes(), mini.folder / "data/fold1/train"
    train.rename(mini.folder / "elsewhere")
    try:
        hyps.unlink()
        mini("--folds", "1", "--stage", "7", "--stop-stage", "7", "--redo", "true", *FAST)
        assert hyps.read_bytes() == before
    finally:
        (mini.folder / "elsewhere").rename(train)


def test_killed_training_resumes_to_the_same_numbers(mini):
    """kill -9 of the whole process group in stage 6, then the same command again."""
    options = ("--folds", "1", "--set", "optim_conf.epochs=12", "optim_conf.patience=0")
    stage = ("--stage", "6", "--stop-stage", "6")
    process = subprocess.Popen(
        ["./run.sh", *options, *stage, "--tag", "killed"], cwd=mini.folder, env=recipe_env(),
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    log = mini.folder / "exp/killed/seed1/fold1/main/log.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (log.is_file() and log.read_text().count("\n") > 6):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    folder = log.parent
    assert (
        log.is_file() and json.loads((folder / "fingerprint.json").read_text())["state"] != "done"
    )
    mini(*options, *stage, "--tag", "killed")
    assert "resuming at epoch" in (folder.parent / "train.log").read_text()
    mini(*options, *stage, "--tag", "whole")
    killed, whole = (best_models(mini.folder / "exp" / tag) for tag in ("killed", "whole"))
    assert list(killed.values()) == list(whole.values())


def test_other_settings_under_the_same_tag_are_refused(mini):
    done = mini("--stage", "6", "--folds", "1", "--tag", "mini", ok=False)
    assert done.returncode != 0
    assert "phases.main.optim_conf.epochs: 6 -> " in done.stderr and "--redo" in done.stderr


def test_a_truncated_ark_is_named(mini):
    dump = mini.folder / "dump/fbank_no_cmvn/layer0"
    ark = max(dump.glob("*.ark"), key=lambda p: p.stat().st_size)
    content = ark.read_bytes()
    try:
        ark.write_bytes(content[: len(content) // 2])
        done = mini("--stage", "6", "--folds", "1", "--tag", "truncated", ok=False)
        log = (mini.folder / "exp/truncated/seed1/fold1/train.log").read_text()
        assert done.returncode != 0
        assert ark.name in log and "Traceback" not in log
    finally:
        ark.write_bytes(content)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--folds", "1 99"], "there is no fold 99; data has 1 to 4"),
        (["--upstream", "fbnak"], "unknown upstream 'fbnak'; did you mean 'fbank'"),
        (["--method", "prob"], "unknown method 'prob'; did you mean 'probe'"),
        (["--set", "optim_conf.lrr=1"], "did you mean 'lr'"),
        (["--policy", "5clas"], "5clas"),
        (["--ckpt", "no/such.pt", "--upstream", "hubert_base"], "no/such.pt"),
        (["--corpus-dir", "/no/such/corpus"], "/no/such/corpus"),
    ],
)
def test_bad_options_fail_with_a_message(mini, options, message):
    done = mini("--folds", "1", "--tag", "bad", *options, ok=False)
    logs = "".join(p.read_text() for p in mini.folder.glob("exp/bad/seed1/fold1/*.log"))
    assert done.returncode != 0
    assert message in done.stderr + logs
    assert "Traceback" not in done.stderr + logs
