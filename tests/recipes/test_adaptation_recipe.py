# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Two tiny corpora through egs/adaptation: parts, shared first stage, both test sets, the table."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
import yaml
from copies import Recipe, copy_repository, recipe_env

from sertl.data.datadir import Utterance, read_data_dir, read_table, write_data_dir
from sertl.report.adaptation_table import load_adapted

SIDES = {"one": ("abc", {"loud": 0.5, "soft": 0.1, "odd": 0.2}),
         "two": ("wxyz", {"high": 0.4, "low": 0.05})}  # fmt: skip
PAIR = {
    "source": {"recipe": "one"},
    "target": {"recipe": "two"},
    "map": {"loud": "high", "soft": "low", "odd": None},
}
FOLD = "seed1/fold1"


def write_recipe(folder, speakers, labels):
    """data/all and conf/corpus.yaml; a class is noise of one loudness."""
    rng = np.random.default_rng(0)
    utts = []
    (folder / "wav").mkdir(parents=True)
    (folder / "conf").mkdir()
    for spk in speakers:
        for emo, level in labels.items():
            for n in range(4):
                utt = f"{spk}-{emo}{n}"
                wave = level * rng.uniform(0.7, 1.4) * rng.uniform(-1, 1, 4000)
                soundfile.write(folder / f"wav/{utt}.wav", wave, 16000)
                utts.append(Utterance(utt, spk, f"wav/{utt}.wav", 0.25, emo=emo))
    write_data_dir(folder / "data/all", utts, list(labels))
    words = dict.fromkeys(("name", "release", "language", "licence", "cite"), folder.name)
    counts = {"all": dict.fromkeys(labels, 4 * len(speakers))}
    conf = {**words, "labels": list(labels), "expected": counts}
    (folder / "conf/corpus.yaml").write_text(yaml.safe_dump(conf))


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    """Source only, then stage 2 from it on half of the target's data; fold 1."""
    root = copy_repository(tmp_path_factory.mktemp("adaptation") / "sertl")
    for name, (speakers, labels) in SIDES.items():
        write_recipe(root / "egs" / name, speakers, labels)
    run = Recipe(root / "egs/adaptation")
    (run.folder / "conf/pairs/one_two.yaml").write_text(yaml.safe_dump(PAIR))
    options = ("--pair", "one_two", "--upstream", "fbank_no_cmvn", "--nj", "1", "--folds", "1",
               "--stop-stage", "8")  # fmt: skip
    fast = ("--set", "optim_conf.epochs=3")
    run(*options, "--stage", "1", "--method", "adapt_probe/source_only", "--tag", "before", *fast)
    run(
        *options, "--stage", "6", "--method", "adapt_probe/two_stage", "--tag", "after",
        "--phase", "target", *fast, "target.init.from=exp/before", "target.data_conf.share=0.5",
    )  # fmt: skip
    return run


def ids(path):
    return set(read_table(path / "utt2spk"))


def test_the_folds_hold_both_sides(adapted):
    fold = adapted.folder / "data/one_two/fold1"
    for part, speakers in {
        "train": "yz", "dev": "x", "test": "w",
        "source_train": "c", "source_dev": "b", "source_test": "a",
    }.items():  # fmt: skip
        data = read_data_dir(fold / part)
        assert {u.spk for u in data.utts.values()} == set(speakers)
        assert data.labels == ["high", "low"]
        assert {u.emo for u in data.utts.values()} == {"high", "low"}
    card = json.loads((fold / "protocol.json").read_text())
    assert card["corpus"] == "one to two" and "dropped: odd 12" in card["notes"]


def test_the_stages_saw_their_part_only(adapted):
    fold, exp = adapted.folder / "data/one_two/fold1", adapted.folder / "exp"
    before = read_table(exp / f"before/{FOLD}/source/train_ids").keys()
    assert before == ids(fold / "source_train")
    seen = read_table(exp / f"after/{FOLD}/target/train_ids").keys()
    assert before < seen  # what the start of the second stage has seen counts
    assert seen - before < ids(fold / "train") and len(seen - before) == 8
    assert (
        "init from exp/before/seed1/fold1/source" in (exp / "after/seed1/train.1.log").read_text()
    )
    assert not (exp / f"after/{FOLD}/source").exists()


def test_statistics_of_the_features_stay_those_of_the_start(adapted):
    exp = adapted.folder / "exp"
    first = torch.load(exp / f"before/{FOLD}/source/best.pt", weights_only=True)["model"]
    second = torch.load(exp / f"after/{FOLD}/target/best.pt", weights_only=True)["model"]
    assert first["standard.std"].min() > 0 and not (first["standard.std"] == 1).all()
    for name in ("standard.mean", "standard.std"):
        assert torch.equal(first[name], second[name])
    heads = [name for name in first if name.startswith("heads")]
    assert heads and not any(torch.equal(first[name], second[name]) for name in heads)


def test_both_test_sets_are_decoded_and_scored(adapted):
    fold = adapted.folder / "data/one_two/fold1"
    for tag in ("before", "after"):
        for part in ("dev", "test", "source_test"):
            folder = adapted.folder / "exp" / tag / FOLD
            assert set(read_table(folder / f"decode_{part}/hyp_emo")) == ids(fold / part)
            assert json.loads((folder / f"score_{part}.json").read_text())["n"] == 8


def test_the_table(adapted):
    exp = adapted.folder / "exp"
    found = [load_adapted(exp / tag) for tag in ("before", "after")]
    assert [(run.kind, run.share) for run in found] == [("source only", 0.0), ("two-stage", 0.5)]
    command = [sys.executable, "-m", "sertl.bin.adaptation", "exp/before", "exp/after"]
    done = subprocess.run(
        [*command, "--out", "exp/table.md"], cwd=adapted.folder, env=recipe_env(),
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = (exp / "table.md").read_text()
    assert "| after | two-stage | 50 |" in text and "INCOMPLETE, seed 1 lacks fold" in text


def test_a_pair_of_a_corpus_that_is_not_prepared(adapted):
    done = adapted("--pair", "nemo_emodb", "--stop-stage", "0", ok=False)
    assert done.returncode != 0 and "nemo/data/nemo30/all is not there; make it" in done.stderr
