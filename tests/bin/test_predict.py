# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The command: lines of JSON and columns, bad recordings, exit status."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sertl.atomic import write_json
from sertl.bin.predict import as_line, batches, numbers
from sertl.config import save_config
from sertl.data.datadir import Utterance, write_data_dir
from sertl.data.folds import PROTOCOL
from sertl.errors import SertlError
from sertl.runs import Run
from sertl.stages.experiment import resolve
from sertl.stages.training import train_phase
from sertl.use.predictor import Prediction

CONF = Path(__file__).resolve().parents[2] / "conf"
ONE = Prediction("sad", {"emo": {"ang": 0.25, "sad": 0.75}}, {"valence": 2.0}, "good", 1.25)


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny):
    root = tmp_path_factory.mktemp("model")
    rng = np.random.default_rng(0)
    for part, speakers in {"train": "ab", "test": "c"}.items():
        utts = []
        for name in (f"{spk}-{n}" for spk in speakers for n in range(4)):
            soundfile.write(root / f"{name}.wav", 0.1 * rng.standard_normal(4000), 16000)
            emo = ("ang", "sad")[int(name[-1]) % 2]
            utts.append(Utterance(name, name[0], str(root / f"{name}.wav"), 0.25, emo=emo))
        write_data_dir(root / "data/fold1" / part, utts, ["ang", "sad"])
    write_json(root / "data/fold1" / PROTOCOL, {"select": "last", "fold_hash": "0"})
    settings = ["input=wav", "optim_conf.epochs=1", "data_conf.layers=last"]
    ckpt = str(tiny / "hubert_base.pt")
    conf = resolve(CONF, "tiny_hubert", "probe", settings, ckpt, str(root / "data"))
    save_config(root / "exp/config.yaml", conf)
    train_phase(conf, conf["phases"][0], Run(root / "exp", 1, 1), False, False)
    return root


def call(*words, stdin=""):
    command = [sys.executable, "-m", "sertl.bin.predict", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, input=stdin)


def test_files_to_lines(model, tmp_path):
    names = [model / "c-0.wav", model / "c-1.wav"]
    done = call("--model", model / "exp", *names)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["utt"] for row in rows] == [str(n) for n in names]
    for row in rows:
        assert row["emo"] in ("ang", "sad") and sum(row["probs"]["emo"].values()) == pytest.approx(
            1, abs=1e-3
        )
    out = tmp_path / "out.tsv"
    again = call(
        "--model", model / "exp", "--format", "tsv", "--out", out, "-", stdin=f"u1 {names[0]}\n"
    )
    assert again.returncode == 0 and out.read_text().split("\t")[:2] == ["u1", rows[0]["emo"]]
    assert "x real time" in again.stderr


def test_bad_recordings(model, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF no")
    stops = call("--model", model / "exp", bad, model / "c-0.wav")
    assert stops.returncode == 1 and "bad.wav" in stops.stderr and "Traceback" not in stops.stderr
    goes_on = call("--model", model / "exp", "--keep-going", bad, model / "c-0.wav")
    assert goes_on.returncode == 3 and len(goes_on.stdout.splitlines()) == 1
    assert "1 left out" in goes_on.stderr and "bad.wav" in goes_on.stderr
    nothing = call("--model", tmp_path, model / "c-0.wav")
    assert nothing.returncode == 1 and "no trained model" in nothing.stderr


def test_a_line_of_each_kind():
    assert as_line("u", "u.wav", ONE, "tsv", ["ang", "sad"]) == "u\tsad\t0.2500\t0.7500\n"
    row = json.loads(as_line("u", "u.wav", ONE, "json", ["ang", "sad"]))
    assert row == {
        "utt": "u", "wav": "u.wav", "dur_sec": 1.25, "emo": "sad",
        "probs": {"emo": {"ang": 0.25, "sad": 0.75}}, "vad": {"valence": 2.0}, "text": "good",
    }  # fmt: skip


def test_batches_hold_so_many_padded_seconds(tmp_path):
    sources = []
    for n, sec in enumerate((1.0, 2.0, 1.0, 0.5)):
        soundfile.write(tmp_path / f"{n}.wav", 0.1 * torch.randn(int(16000 * sec)).numpy(), 16000)
        sources.append((str(n), str(tmp_path / f"{n}.wav")))
    found = [[utt for utt, _, _ in batch] for batch in batches(sources, 4.0, False, [])]
    assert found == [["0", "1"], ["2", "3"]]


def test_numbers():
    assert numbers("1 12", "--seeds") == [1, 12] and numbers("", "--seeds") == []
    with pytest.raises(SertlError, match="--folds takes numbers"):
        numbers("1 x", "--folds")


def test_importing_sertl_is_light():
    code = "import sys, sertl; assert 'torch' not in sys.modules; from sertl import Predictor"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
