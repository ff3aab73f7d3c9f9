# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The command: lines of JSON and columns, bad recordings, exit status."""

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from fake_predictor import hush, voice

from sertl.atomic import write_json
from sertl.bin import predict
from sertl.cli import run
from sertl.data.ark import read_array, read_scp
from sertl.data.datadir import Utterance, write_data_dir
from sertl.data.folds import PROTOCOL
from sertl.errors import SertlError
from sertl.log import setup_logging
from sertl.runs import Run
from sertl.stages.experiment import resolve
from sertl.stages.training import train_phase
from sertl.use.opening import numbers
from sertl.yaml_text import save_yaml

CONF = Path(__file__).resolve().parents[2] / "conf"


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
    save_yaml(root / "exp/config.yaml", conf)
    train_phase(conf, conf["phases"][0], Run(root / "exp", 1, 1), False, False)
    return root


def call(*words, stdin=""):
    """The command in this process: importing torch anew for each would take most of the time."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["predict", *map(str, words)])
        patch.setattr(sys, "stdin", io.StringIO(stdin))
        try:
            run(predict.main)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
            err.write("" if isinstance(error.code, int) else f"{error.code}\n")
    setup_logging()  # to what is standard error again
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


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


def test_interrupted_it_goes_on(model, tmp_path):
    """Killed after some lines, the same command ends with the lines of an undisturbed run."""
    out, names = (
        tmp_path / "out.jsonl",
        [model / f"{spk}-{n}.wav" for spk in "ab" for n in range(4)],
    )
    options = ("--model", model / "exp", "--batch-sec", "0.25", "--out", out)
    assert call(*options, *names).returncode == 0
    whole = out.read_text()
    out.unlink()
    code = (
        "import sys\nfrom sertl.use import output\nold, n = output.Output.write, [0]\n"
        "def write(self, *a):\n    n[0] += 1\n    old(self, *a); self._lines.flush()\n"
        "    if n[0] == 3:\n        import os; os._exit(9)\n"
        "output.Output.write = write\nimport runpy\n"
        "runpy.run_module('sertl.bin.predict', run_name='__main__')\n"
    )
    words = [sys.executable, "-c", code, *map(str, (*options, *names))]
    assert subprocess.run(words, capture_output=True).returncode == 9
    assert (tmp_path / "out.jsonl.partial").read_text().count("\n") == 3 and not out.exists()
    done = call(*options, *names)
    assert done.returncode == 0 and out.read_text() == whole


def test_two_processes_say_the_same(model, tmp_path):
    names = [model / f"{spk}-{n}.wav" for spk in "ab" for n in range(4)]
    options = ("--model", model / "exp", "--batch-sec", "0.5", *names)
    one, two = call(*options), call("--nj", "2", *options)
    assert two.returncode == 0 and two.stdout == one.stdout
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    bad = call("--nj", "2", *options, tmp_path / "bad.wav")
    assert bad.returncode == 1 and "bad.wav" in bad.stderr and "Traceback" not in bad.stderr


def test_utterance_vectors(model, tmp_path):
    out = tmp_path / "v.ark"
    done = call("--model", model / "exp", "--embeddings", out, model / "c-0.wav", model / "c-1.wav")
    assert done.returncode == 0, done.stderr
    names = [str(model / "c-0.wav"), str(model / "c-1.wav")]
    assert sorted(read_scp(tmp_path / "v.scp")) == names
    assert read_array(read_scp(tmp_path / "v.scp")[names[0]], names[0]).shape == (32,)


def test_timelines(model, tmp_path):
    long = np.concatenate([hush(1), voice(2), hush(1), voice(1.5), hush(1)])
    soundfile.write(tmp_path / "long.wav", long, 16000)
    base = ("--model", model / "exp", "--timeline", "--vad", "energy", tmp_path / "long.wav")
    rows = json.loads(call(*base, "--plot", tmp_path / "p.png").stdout)["segments"]
    assert len(rows) == 2 and (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    for kind in ("csv", "textgrid", "srt"):
        ran = call(*base, "--format", kind)
        assert ran.returncode == 0 and ran.stdout.count(rows[0]["emo"]) >= 1
    many = call(*base, model / "a-0.wav", "--format", "srt", "--out", tmp_path / "subtitles")
    assert many.returncode == 0, many.stderr
    assert sorted(p.name for p in (tmp_path / "subtitles").iterdir()) == ["a-0.srt", "long.srt"]
    (tmp_path / "t.rttm").write_text("SPEAKER long 1 1 2 <NA> <NA> A <NA> <NA>\n")
    turns = json.loads(call(*base, "--speakers", tmp_path / "t.rttm").stdout)["segments"]
    assert [(t["start"], t["end"], t["spk"]) for t in turns] == [(1.0, 3.0, "A")]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--format", "srt"], "expected json, tsv, kaldi"),
        (["--timeline", "--format", "tsv"], "expected json, csv, textgrid, srt"),
        (["--timeline", "--embeddings", "v.ark"], "without --timeline"),
        (["--speakers", "cluster:2"], "with --timeline"),
        (["--timeline", "--speakers", "cluster:x"], "expected a number of speakers"),
        (["--timeline", "--vad", "silera"], "did you mean 'silero'"),
        (["--timeline", "--max-sec", "90"], "expected 1 to 30"),
        (["--plot", "a.png"], "with --timeline"),
        (["--nj", "0"], "at least 1"),
        (["--embeddings", "v.txt"], ".npy or .ark"),
        (["--folds", "x"], "takes numbers"),
    ],
)
def test_options_that_mean_nothing(model, words, reason):
    ran = call("--model", model / "exp", *words, model / "a-0.wav")
    assert ran.returncode == 1 and reason in ran.stderr and "Traceback" not in ran.stderr


def test_numbers():
    assert numbers("1 12", "--seeds") == [1, 12] and numbers("", "--seeds") == []
    with pytest.raises(SertlError, match="--folds takes numbers"):
        numbers("1 x", "--folds")


def test_importing_sertl_is_light():
    code = "import sys, sertl; assert 'torch' not in sys.modules; from sertl import Predictor"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_shards_are_joined_to_the_lines_of_one_run(model, tmp_path):
    scp = tmp_path / "wav.scp"
    rows = [f"{p.stem} {p}" for p in sorted(model.glob("*.wav"))]
    scp.write_text("\n".join(rows) + "\n")
    whole, out = tmp_path / "whole.tsv", tmp_path / "parts.tsv"
    words = ("--model", model / "exp", "--format", "tsv", scp)
    assert call(*words, "--out", whole).returncode == 0
    for number in (3, 1):
        assert call(*words, "--out", out, "--shard", f"{number}/3").returncode == 0
    done = call(*words, "--out", out, "--merge", "3")
    assert done.returncode == 1 and "of 3 shards these have not finished: 2/3" in done.stderr
    assert call(*words, "--out", out, "--shard", "2/3").returncode == 0
    done = call(*words[:-1], model / "a-0.wav", "--out", out, "--merge", "3")
    assert done.returncode == 1 and "not those of these recordings" in done.stderr
    assert call(*words, "--out", out, "--merge", "3").returncode == 0
    assert out.read_text() == whole.read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["parts.tsv", "wav.scp", "whole.tsv"]
    for odd in (["--shard", "1/2"], ["--shard", "1/2", "--merge", "2", "--out", out]):
        assert call(*words, *odd).returncode == 1
