# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Starts that are not random: the encoder's own blocks, other runs, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from fakes import build_model

from sertl import fingerprint
from sertl.data.datadir import Utterance, write_data_dir
from sertl.data.folds import FoldDir
from sertl.errors import SertlError
from sertl.models.base import Spec
from sertl.runs import Run
from sertl.stages.start import start_from_upstream, start_of
from sertl.stages.training_data import save_ids, training_data
from sertl.upstream.build import build_upstream, load_conf
from sertl.upstream.tiny import save_hf, save_whisper
from sertl.yaml_text import save_yaml

CONF = Path(__file__).resolve().parents[2] / "conf/upstream"


@pytest.mark.parametrize(
    ("family", "norm"), [("whisper", "pre"), ("hubert-base", "post"), ("hubert-large", "pre")]
)
@pytest.mark.parametrize("name", ["wap", "local_attributes"])
def test_copied_blocks_compute_what_the_encoders_do(tmp_path, family, norm, name):
    folder = tmp_path / "encoder"
    if family == "whisper":
        save_whisper(folder)
        conf = {"upstream": load_conf("tiny_whisper", CONF, {"ckpt": str(folder)})}
    else:
        save_hf(folder, "hubert", family.split("-")[1])
        conf = {"upstream": load_conf("tiny_hubert", CONF, {"ckpt": str(folder)})}
    upstream = build_upstream(conf["upstream"])
    sources = upstream.blocks()[-2:]
    adapter = {
        "blocks": 2, "norm": norm, "ffn": sources[0].ffn_in.out_features,
        "heads": sources[0].attention.num_heads, "position": "none",
    }  # fmt: skip
    first = upstream.num_layers - 3
    spec = Spec(labels=["a", "b"], hidden_size=upstream.hidden_size, layers=[first])
    model = build_model(name, spec, None, {"wap": adapter}).eval()
    start_from_upstream(model, {"name": "main"}, conf)
    adapters = [model.wap] if name == "wap" else [model.student, model.teacher]
    x, mask = torch.randn(1, 7, upstream.hidden_size), torch.ones(1, 7, dtype=torch.bool)
    for found in adapters:
        for block, source in zip(found.blocks, sources, strict=True):
            with torch.no_grad():
                expected = source.module(x, None)
                expected = expected[0] if isinstance(expected, tuple) else expected
                torch.testing.assert_close(block(x, mask), expected, rtol=1e-4, atol=1e-5)
    # On the state that it reads, the first copied block gives the encoder's next one.
    wav = 0.1 * torch.randn(1, 8000)
    (state, following), lens = upstream(wav, torch.tensor([8000]), [first, first + 1])
    real = torch.ones(1, int(lens[0]), dtype=torch.bool)
    if family == "whisper":  # HuBERT's last frame is a repeated one, which its blocks never saw
        with torch.no_grad():
            found = adapters[0].blocks[0](state, real)
        torch.testing.assert_close(found, following, rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_the_encoder_is_refused(tmp_path):
    save_whisper(tmp_path / "encoder")
    conf = {"upstream": load_conf("tiny_whisper", CONF, {"ckpt": str(tmp_path / "encoder")})}
    size = build_upstream(conf["upstream"]).hidden_size
    spec = Spec(labels=["a", "b"], hidden_size=size, layers=[0])
    narrow = build_model("wap", spec, None, {"wap": {"width": 4, "blocks": 1, "ffn": 8}})
    wanted = "set model_conf.reads=2, data_conf.normalise=false, model_conf.wap.position=none"
    with pytest.raises(SertlError, match=f"phase main, init.from=upstream: .*{wanted}"):
        start_from_upstream(narrow, {"name": "main"}, conf)
    short = Spec(labels=["a", "b"], hidden_size=size, layers=[1, 2])
    adapter = {"blocks": 1, "ffn": 8, "position": "none"}
    with pytest.raises(SertlError, match="set width: 0, ffn: "):
        wap = build_model("wap", short, None, {"wap": adapter, "reads": 2})
        start_from_upstream(wap, {"name": "main"}, conf)
    with pytest.raises(SertlError, match="nothing to take from the encoder"):
        start_from_upstream(build_model("probe", spec, None, {}), {"name": "main"}, conf)


@pytest.fixture
def place(tmp_path):
    for part, spk in {"train": "a", "dev": "b", "test": "c"}.items():
        utts = [Utterance(f"{spk}-1", spk, "x.wav", 1.0, emo="ang")]
        write_data_dir(tmp_path / "data/fold1" / part, utts, ["ang", "sad"])
    return Run(tmp_path / "exp/own", 1, 1), FoldDir(tmp_path / "data", 1)


def finished_phase(folder, fold, checkpoint="abc"):
    fingerprint.begin(folder, {"upstream": {"name": "enc", "checkpoint": checkpoint, "ids": "x"}})
    (folder / "best.pt").write_bytes(b"")
    save_ids(folder, training_data(["fold"], fold, False, False))
    fingerprint.finish(folder)
    return folder


UPSTREAM = {"name": "enc", "checkpoint": "abc", "ids": "other"}


def phase(**init):
    start = {"from": None, "map": {}, "only": [], "freeze": []}
    return {"name": "main", "init": {**start, **init}}


def find(place, start):
    return start_of(phase(**{"from": start}), *place, UPSTREAM, False)


def test_where_init_points_to(place, tmp_path):
    run, fold = place
    assert find(place, None) is None
    assert find(place, "upstream") is None
    own = finished_phase(run.phase("pretrain"), fold)
    assert find(place, "pretrain") == own
    other = finished_phase(tmp_path / "exp/other/seed1/fold4/pretrain", fold)
    assert find(place, str(other)) == other
    exp = tmp_path / "exp/other"
    save_yaml(exp / "config.yaml", {"phases": [{"name": "pretrain"}, {"name": "finetune"}]})
    assert find(place, str(exp)) == other
    same = finished_phase(exp / "seed1/fold1/pretrain", fold)
    assert find(place, str(exp)) == same


def test_starts_that_are_refused(place, tmp_path):
    run, fold = place
    with pytest.raises(SertlError, match="has init.map or init.only, but no init.from"):
        start_of(phase(map={"wap": "teacher"}), *place, UPSTREAM, False)
    with pytest.raises(SertlError, match="init.from is empty, expected a name or a path"):
        find(place, "")
    with pytest.raises(SertlError, match="pretrain"):
        find(place, "pretrain")
    other = finished_phase(tmp_path / "exp/other/seed1/fold4/pretrain", fold, "def")
    with pytest.raises(SertlError, match="another encoder: checkpoint: def -> abc"):
        find(place, str(other))
    exp = tmp_path / "exp/other"
    save_yaml(exp / "config.yaml", {"phases": [{"name": "pretrain"}]})
    finished_phase(exp / "seed1/fold5/pretrain", fold)
    with pytest.raises(SertlError, match="no phase pretrain of seed 1 and fold 1"):
        find(place, str(exp))
    record = json.loads((other / "fingerprint.json").read_text())
    record["inputs"]["upstream"]["checkpoint"] = "abc"
    (other / "fingerprint.json").write_text(json.dumps(record))
    for other_utt in ("c-1", "c-2"):  # held out, and another one of that speaker
        (other / "train_ids").write_text(f"a-1 a\n{other_utt} c\n")
        with pytest.raises(SertlError, match=f"1 utterances, or others .* e.g. {other_utt}"):
            find(place, str(other))
    # where the protocol trains on a speaker whom it tests on, others may
    utts = [Utterance(f"{spk}-3", spk, "x.wav", 1.0, emo="ang") for spk in "ac"]
    write_data_dir(fold.path / "train", utts, ["ang", "sad"])
    find(place, str(other))


def test_what_a_start_has_seen_is_handed_on(place, tmp_path):
    _, fold = place
    first = finished_phase(tmp_path / "one/pretrain", fold)
    (first / "train_ids").write_text("z-1 z\n")
    (tmp_path / "two").mkdir()
    save_ids(tmp_path / "two", training_data(["fold"], fold, False, False), first)
    assert (tmp_path / "two/train_ids").read_text() == "a-1 a\nz-1 z\n"
