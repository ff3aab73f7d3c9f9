# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""egs/table: a folder with a CSV, through stages 0 to 2 by run.sh, and what it says of mistakes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sertl.data.datadir import read_data_dir
from sertl.yaml_text import load_yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def recipe(tmp_path):
    """A copy of the recipe where run.sh finds what it is linked to."""
    for name in ("table", "iemocap"):
        shutil.copytree(
            *(ROOT / "egs" / name, tmp_path / "egs" / name),
            symlinks=True,
            ignore=shutil.ignore_patterns("data", "exp", "dump"),
        )
    for name in ("path.sh", "tools", "conf", "sertl"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path / "egs/table"


def call(recipe, *words):
    command = ["./run.sh", "--upstream", "fbank", "--method", "probe", "--token-type", "none"]
    command += ["--stop-stage", "2", *words]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=recipe, env=env, capture_output=True, text=True)


def corpus(tmp_path, write_wav):
    folder = tmp_path / "my data"
    lines = ["recording\tvote\tperson\n"]
    for spk in "pqr":
        for n, emo in enumerate(("joy", "sad", "other", "joy")):
            write_wav(folder / f"{spk}/{n}.wav")
            lines.append(f"{spk}/{n}.wav\t{emo}\t{spk}\n")
    (folder / "labels.tsv").write_text("".join(lines))
    return folder


def test_a_table_becomes_folds(recipe, tmp_path, write_wav):
    folder = corpus(tmp_path, write_wav)
    prepare = ["--prepare", "wav=recording", "emo=vote", "spk=person", "drop=other"]
    done = call(recipe, "--corpus-dir", str(folder), "--policy", "mine", *prepare)
    assert done.returncode == 0, done.stderr
    conf = load_yaml(recipe / "data/mine/corpus.yaml")
    assert conf["labels"] == ["joy", "sad"] and conf["expected"] == {"all": {"joy": 6, "sad": 3}}
    data = read_data_dir(recipe / "data/mine/all")
    assert list(data.utts)[:2] == ["p-0", "p-1"] and len(data.utts) == 9
    assert (recipe / "data/mine/num_folds").read_text().strip() == "3"
    alone = call(recipe, "--corpus-dir", str(folder), "--policy", "alone", *prepare[:3], "spk=-")
    assert alone.returncode == 0, alone.stderr
    data = read_data_dir(recipe / "data/alone/all")
    assert len({u.spk for u in data.utts.values()}) == 12
    assert "each clip counts as one" in load_yaml(recipe / "data/alone/corpus.yaml")["notes"]
    again = call(recipe, "--corpus-dir", str(folder), "--policy", "mine", *prepare, "groups=3")
    assert again.returncode != 0 and "made from other inputs" in again.stderr


def test_mistakes_are_one_line(recipe, tmp_path, write_wav):
    folder = corpus(tmp_path, write_wav)
    for prepare, words in (
        (["wav=recordin"], "wav: unknown column 'recordin'; did you mean 'recording'"),
        (["emmo=vote"], "--prepare emmo=vote: unknown key 'emmo'; did you mean 'emo'"),
        (["wav=recording"], "no column for emo; say which"),
        (["table=no.csv"], "no.csv: no such file"),
    ):
        words_of_it = ["--corpus-dir", str(folder), "--conf", "data/corpus.yaml"]
        done = subprocess.run(
            [sys.executable, "local/describe.py", *words_of_it, "--prepare", *prepare],
            cwd=recipe, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode != 0 and words in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
