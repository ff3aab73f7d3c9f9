# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""egs/emobox: folds as published, shared speakers counted, speakers from names; other folds."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from sertl.data.datadir import read_data_dir
from sertl.errors import SertlError

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["03a01Fa", "03a01Wa", "08a02Na", "08a02Wb", "09b01Fa", "09b01Wa", "10a01Fa", "10a01Nc"]
WORDS = {"F": "Happiness", "W": "anger", "N": "Neutral"}


def row(name, folder="wav"):
    wav = f"downloads/emodb/{folder}/{name}.wav"
    said = {"key": f"EmoDB-{name}", "dataset": "EmoDB", "wav": wav, "sample_rate": 16000}
    return {**said, "num_frame": 1600, "length": 0.1, "emo": WORDS[name[5]], "channel": 1}


@pytest.fixture
def checkout(tmp_path, write_wav):
    """Two folds; the second shares speakers. The audio is not where the rows say."""
    folder = tmp_path / "Emo Box/data/emodb"
    for number, test in ((1, NAMES[:2]), (2, NAMES[1::2])):
        place = folder / f"fold_{number}"
        place.mkdir(parents=True)
        parts = {"train": [n for n in NAMES if n not in test], "test": test}
        for part, names in parts.items():
            lines = "".join(json.dumps(row(n)) + "\n" for n in names)
            (place / f"emodb_{part}_fold_{number}.jsonl").write_text(lines)
    label_map = {"Happiness": "happy", "anger": "angry", "Neutral": "neutral"}
    (folder / "label_map.json").write_text(json.dumps(label_map))
    for name in NAMES:
        write_wav(tmp_path / f"audio/deep/{name}.wav")
    return tmp_path / "Emo Box"


def arguments(checkout, policy="emodb", **options):
    wavs = {"wavs": str(checkout.parent / "audio")}
    return SimpleNamespace(corpus_dir=checkout, policy=policy, prepare={**wavs, **options})


def test_rows_become_utterances(local, checkout, caplog):
    conf, utts = local("emobox", "metadata").read_corpus(arguments(checkout))
    assert conf["labels"] == ["angry", "happy", "neutral"]
    assert (conf["name"], conf["protocol"]) == ("emobox-emodb", "official")
    assert conf["shared_speakers"] and "up to 4 speakers are in training and test" in conf["notes"]
    assert "up to 4 speakers" in caplog.text
    first = next(u for u in utts if u.own["key"] == "EmoDB-03a01Fa")
    assert (first.utt, first.spk, first.emo) == ("03-EmoDB-03a01Fa", "03", "happy")
    assert first.wav.endswith("audio/deep/03a01Fa.wav")  # found by its name


def test_speakers_by_expression_or_unknown(local, checkout):
    module = local("emobox", "metadata")
    _, utts = module.read_corpus(arguments(checkout, spk=r"(\d)\d([ab])"))
    assert {u.spk for u in utts} == {"0a", "0b", "1a"}
    conf, utts = module.read_corpus(arguments(checkout, spk="(nothing)"))
    assert len({u.spk for u in utts}) == 8 and "speakers of 8 of 8" in conf["notes"]
    with pytest.raises(SertlError, match=r"spk=\(: missing \)"):
        module.read_corpus(arguments(checkout, spk="("))
    iemocap = module.SPEAKERS["iemocap"]
    match = module.re.match(iemocap, "Ses01F_impro01_M013")  # a man in a dialogue named after her
    assert "".join(match.groups()) == "Ses01M"


def test_mistakes_are_said(local, checkout):
    module = local("emobox", "metadata")
    with pytest.raises(SertlError, match=r"unknown corpus of EmoBox .* did you mean 'emodb'"):
        module.read_corpus(arguments(checkout, "emdb"))
    with pytest.raises(SertlError, match="--policy chooses the corpus: emodb"):
        module.read_corpus(arguments(checkout, ""))
    with pytest.raises(SertlError, match="give a checkout of EmoBox"):
        module.read_corpus(arguments(checkout.parent / "audio"))
    path = checkout / "data/emodb/fold_1/emodb_test_fold_1.jsonl"
    path.write_text('{"key": "x"}\nnot json\n')
    with pytest.raises(SertlError, match=r"2 problems\n.*fold_1.jsonl:1: KeyError 'wav'"):
        module.read_corpus(arguments(checkout))
    path.unlink()
    with pytest.raises(SertlError, match="no .*_train_.* or no .*_test_"):
        module.read_corpus(arguments(checkout))


def test_folds_through_run_sh(checkout, tmp_path):
    """Official folds as they are, with a dev set of their own; loso holds speakers out."""
    for name in ("emobox", "iemocap"):
        shutil.copytree(
            *(ROOT / "egs" / name, tmp_path / "egs" / name),
            symlinks=True,
            ignore=shutil.ignore_patterns("data", "exp", "dump"),
        )
    for name in ("path.sh", "tools", "conf", "sertl"):
        (tmp_path / name).symlink_to(ROOT / name)
    recipe = tmp_path / "egs/emobox"
    command = ["./run.sh", "--corpus-dir", str(checkout), "--policy", "emodb", "--prepare"]
    command += [f"wavs={tmp_path / 'audio'}", "--upstream", "fbank", "--stop-stage", "2"]
    for more in ([], ["--protocol", "loso", "--stage", "2"]):
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [*command, *more], cwd=recipe, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    parts = {}
    for part in ("train", "dev", "test"):
        data = read_data_dir(recipe / f"data/emodb/fold2/{part}")
        parts[part] = {u.own["key"].removeprefix("EmoDB-") for u in data.utts.values()}
    assert parts["test"] == set(NAMES[1::2]) and parts["dev"] == {"03a01Fa"}
    assert parts["train"] == {*NAMES[::2]} - {"03a01Fa"}
    card = json.loads((recipe / "data/emodb/fold2/protocol.json").read_text())
    assert card["shared_speakers"] == 4 and card["corpus"] == "emobox-emodb"
    loso = recipe / "data/emodb/loso"
    assert (loso / "num_folds").read_text().strip() == "4"
    assert {u.spk for u in read_data_dir(loso / "fold1/test").utts.values()} == {"03"}
