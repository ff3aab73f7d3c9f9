# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Cross-fitted teachers: who sees whom, whose frames are clustered, refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sertl.atomic import write_json
from sertl.data.ark import read_array, read_scp
from sertl.data.audio import read_audio
from sertl.data.datadir import Utterance, read_table, write_data_dir
from sertl.data.folds import FoldDir
from sertl.errors import SertlError
from sertl.runs import Run
from sertl.stages.cross_fitting import groups_of, teachers
from sertl.stages.experiment import resolve
from sertl.stages.pseudo_labelling import encoder, label_fold
from sertl.stages.training import train_phase
from sertl.upstream.tiny import save_hubert

CONF = Path(__file__).resolve().parents[2] / "conf"
SETTINGS = [
    "optim_conf.epochs=1", "optim_conf.lr=0.01", "data_conf.crop_sec=0.0",
    "data_conf.time_mask=0.0", "data_conf.batch_size=8", "start=random",
    "select_conf.lambdas=[1.0]",
    "pseudo_labels.layers=[3]", "pseudo_labels.clusters=[3]", "pseudo_labels.restarts=2",
    "pseudo_labels.min_frames=5", "pseudo_labels.cross_fit=2",
]  # fmt: skip
PARTS = {"train": "abcd", "dev": "e", "test": "f"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for part, speakers in PARTS.items():
        utts = []
        for spk in speakers:
            for n in range(4):
                wav, sec = folder / f"{spk}{n}.wav", 0.4 + 0.1 * n
                soundfile.write(wav, rng.normal(scale=0.1, size=round(16000 * sec)), 16000)
                gender = "f" if spk in "ac" else "m"
                emo = ("ang", "sad")[n % 2]
                utts.append(Utterance(f"{spk}-{n}", spk, str(wav), sec, emo=emo, gender=gender))
        write_data_dir(folder / f"data/fold1/{part}", utts, ["ang", "sad"])
    write_json(folder / "data/fold1/protocol.json", {"select": "last", "fold_hash": "1"})
    torch.manual_seed(0)
    save_hubert(folder / "hubert.pt")
    return folder


def setup(corpus, *settings):
    ckpt, data = str(corpus / "hubert.pt"), str(corpus / "data")
    return resolve(CONF, "tiny_hubert", "gmp_tl", [*SETTINGS, *settings], ckpt, data)


def test_each_speaker_is_labelled_by_a_teacher_that_has_not_heard_him(corpus, tmp_path):
    conf, run = setup(corpus), Run(tmp_path, 1, 1)
    phases = teachers(conf)
    assert [phase["name"] for phase in phases] == ["teacher", "teacher1", "teacher2"]
    for phase in phases:
        train_phase(conf, phase, run, False, False)
    heard = [set(read_table(run.phase(p["name"]) / "train_ids").values()) for p in phases]
    assert heard[0] == set("abcd") and heard[1] | heard[2] == set("abcd")
    assert len(heard[1]) == len(heard[2]) == 2 and not heard[1] & heard[2]

    label_fold(conf, run, False, False)
    fold = FoldDir(corpus / "data", 1)
    utts = {**fold.part("train").utts, **fold.part("dev").utts}
    whose = {u: p["name"] for p, own in groups_of(conf, fold, utts) for u in own}
    assert whose["e-0"] == "teacher"
    specs = read_scp(run.folder / "teacher_feats/layer3/feats.scp")
    assert specs.keys() == utts.keys()
    for phase, speakers in zip(phases[1:], heard[1:], strict=True):
        unheard = next(u for u in utts.values() if u.spk in set("abcd") - speakers)
        assert whose[unheard.utt] == phase["name"]
        wav = torch.from_numpy(read_audio(unheard.wav))[None]
        dumped = torch.from_numpy(read_array(specs[unheard.utt], unheard.utt))
        for other in phases:
            (own,), _ = encoder(conf, run, other)(wav, torch.tensor([wav.shape[1]]), [3])
            assert torch.allclose(dumped, own[0], atol=2e-3) == (other is phase)
    facts = json.loads((run.phase("pseudo_labels") / "run.json").read_text())
    assert facts["seen_ids"]["clustering"]["n"] == 16
    # The frame stage takes the labels as any others.
    train_phase(conf, conf["phases"][0], run, False, False)


def test_without_it_there_is_one_teacher(corpus):
    conf = setup(corpus, "pseudo_labels.cross_fit=0")
    assert [phase["name"] for phase in teachers(conf)] == ["teacher"]
    del conf["teacher"]
    assert teachers(conf) == []


def test_refused(corpus, tmp_path):
    with pytest.raises(SertlError, match="cross_fit is 1, expected 0 or at least 2"):
        teachers(setup(corpus, "pseudo_labels.cross_fit=1"))
    conf = setup(corpus, "pseudo_labels.cross_fit=5")
    with pytest.raises(SertlError, match="4 training speakers cannot make 5 groups"):
        train_phase(conf, teachers(conf)[1], Run(tmp_path, 1, 1), False, False)
    conf = setup(corpus)
    conf["teacher"]["data_conf"]["leave_out"] = [3, 2]
    with pytest.raises(SertlError, match=r"leave_out is \[3, 2\]"):
        train_phase(conf, conf["teacher"], Run(tmp_path, 1, 1), False, False)
