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
from sertl.use.packed import Packed

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


def test_it_ends_with_a_packed_model_and_a_prediction(mini):
    said = json.loads((mini.folder / "exp/mini/prediction.jsonl").read_text())
    assert said["emo"] in ("ang", "hap", "neu", "sad") and said["wav"].startswith("downloads/wav/")
    packed = Packed(mini.folder / "exp/mini/model.sertl")
    assert len(packed.manifest["members"]) == 2
    assert b"free of rights" in packed.read("README.md") and packed.read("scores.json")


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


def test_solved_heads_and_speakers_normalised_online(mini):
    """Vectors of the frames that are there; every fold in one process; orders averaged."""
    options = (
        "--method",
        "linear",
        "--speaker-norm",
        "online",
        "--tag",
        "solved",
        "--folds",
        "1 2",
    )
    mini("--stage", "3", *options, "--set", "decode_conf.orders=2")
    exp, dump = mini.folder / "exp/solved", mini.folder / "dump/fbank_no_cmvn.mean-std"
    made = json.loads((dump / "fingerprint.json").read_text())["inputs"]
    assert made["pool"] == ["mean", "std"] and made["pooled_from"] == "16 bit"
    record = json.loads((exp / "seed1/fold1/main/run.json").read_text())
    assert record["solved on"] == "train + dev" and "C 0." in record["chosen emo"]
    seen = read_table(exp / "seed1/fold1/main/train_ids")
    test = read_data_dir(mini.folder / "data/fold1/test").utts
    assert len(seen) == 240 and not {u.spk for u in test.values()} & set(seen.values())
    score = json.loads((exp / "seed1/fold1/score_test.json").read_text())
    assert len(score["utts"]["hyp_orders"]) == 1 and 0.35 < score["emotion"]["ua"] < 1.0
    results = json.loads((exp / "results.json").read_text())
    assert results["card"]["speaker normalisation"].startswith("online: causal")
    assert any("speaker normalisation online" in line for line in results["warnings"])
    assert results["test"]["orders"]["number"] == 2
    for page in ("RESULTS.md", "report.html"):
        assert "std over 2 orders of clips" in (exp / page).read_text()
    both = mini("--stage", "3", *options, "--pool", "none", ok=False)
    assert both.returncode != 0  # another dump under the same tag


def test_the_number_of_updates_comes_from_groups_of_speakers(mini):
    """Three groups, then all of train and dev for as many updates as were best."""
    options = ("--stage", "3", "--stop-stage", "8", "--folds", "1", "--method", "probe")
    settings = ("select=dev_ua_loss", "select_conf.folds=3", "optim_conf.epochs=4")
    mini(*options, "--tag", "groups", "--set", *settings)
    folder = mini.folder / "exp/groups/seed1/fold1/main"
    record = json.loads((folder / "run.json").read_text())
    chosen = record["selected"]["epoch"]
    assert 1 <= chosen <= 4 and "of 3 groups of training and dev speakers" in record["selection"]
    logs = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert {e["kind"] for e in logs} == {"train"} and record["updates"] == logs[-1]["update"]
    held = [
        json.loads(line)
        for line in (folder / "select2/log.jsonl").read_text().splitlines()
        if '"dev"' in line
    ]
    assert [e["epoch"] for e in held] == [0, 1, 2, 3, 4]  # 0: before any update
    assert len(read_table(folder / "train_ids")) == 240
    assert list(folder.rglob("*.pt")) == [folder / "best.pt"]  # nothing is to be resumed


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
        (["--set", "model_conf.loss=cee"], "phase main: unknown loss 'cee'; did you mean 'ce'"),
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
