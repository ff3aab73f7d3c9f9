# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Starts that are not random: the encoder's own blocks, other runs, and what is refused."""

import json
from pathlib import Path

import pytest
import torch

from sertl import fingerprint
from sertl.config import save_config
from sertl.data.datadir import Utterance, write_data_dir
from sertl.errors import SertlError
from sertl.models.base import Spec, build_model
from sertl.train.place import Place
from sertl.train.start import init_path, start_from_upstream
from sertl.train.training_data import save_ids, training_data
from sertl.upstream.build import build_upstream, load_conf
from sertl.upstream.tiny import save_hf, save_whisper

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
    spec = Spec(labels=["a", "b"], hidden_size=upstream.hidden_size, layers=[0])
    model = build_model(name, spec, None, {"adapter": adapter}).eval()
    start_from_upstream(model, {"name": "main"}, conf)
    adapters = [model.adapter] if name == "wap" else [model.student, model.teacher]
    x, mask = torch.randn(1, 7, upstream.hidden_size), torch.ones(1, 7, dtype=torch.bool)
    for found in adapters:
        for block, source in zip(found.blocks, sources, strict=True):
            with torch.no_grad():
                expected = source.module(x, None)
                expected = expected[0] if isinstance(expected, tuple) else expected
                torch.testing.assert_close(block(x, mask), expected, rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_the_encoder_is_refused(tmp_path):
    save_whisper(tmp_path / "encoder")
    conf = {"upstream": load_conf("tiny_whisper", CONF, {"ckpt": str(tmp_path / "encoder")})}
    size = build_upstream(conf["upstream"]).hidden_size
    spec = Spec(labels=["a", "b"], hidden_size=size, layers=[0])
    narrow = build_model("wap", spec, None, {"adapter": {"width": 4, "blocks": 1, "ffn": 8}})
    with pytest.raises(SertlError, match="phase main, init: upstream: .*set width: 0"):
        start_from_upstream(narrow, {"name": "main"}, conf)
    with pytest.raises(SertlError, match="nothing to take from the encoder"):
        start_from_upstream(build_model("probe", spec, None, {}), {"name": "main"}, conf)


@pytest.fixture
def place(tmp_path):
    for part, spk in {"train": "a", "dev": "b", "test": "c"}.items():
        utts = [Utterance(f"{spk}-1", spk, "x.wav", 1.0, emo="ang")]
        write_data_dir(tmp_path / "data/fold1" / part, utts, ["ang", "sad"])
    return Place(tmp_path / "exp/own", tmp_path / "data", tmp_path / "dump/enc", 1, 1)


def finished_phase(folder, place, checkpoint="abc"):
    fingerprint.begin(folder, {"upstream": {"name": "enc", "checkpoint": checkpoint, "ids": "x"}})
    (folder / "best.pt").write_bytes(b"")
    save_ids(folder, training_data(["fold"], place, False, False))
    fingerprint.finish(folder)
    return folder


UPSTREAM = {"name": "enc", "checkpoint": "abc", "ids": "other"}


def phase(**changes):
    return {"name": "main", "init": None, "init_map": {}, **changes}


def test_where_init_points_to(place, tmp_path):
    assert init_path(phase(), place, UPSTREAM, False) is None
    assert init_path(phase(init="upstream"), place, UPSTREAM, False) is None
    own = finished_phase(place.folder / "pretrain", place)
    assert init_path(phase(init="pretrain"), place, UPSTREAM, False) == own / "best.pt"
    other = finished_phase(tmp_path / "exp/other/seed1/fold4/pretrain", place)
    assert init_path(phase(init=str(other)), place, UPSTREAM, False) == other / "best.pt"
    exp = tmp_path / "exp/other"
    save_config(exp / "config.yaml", {"phases": [{"name": "pretrain"}, {"name": "finetune"}]})
    assert init_path(phase(init=str(exp)), place, UPSTREAM, False) == other / "best.pt"
    same = finished_phase(exp / "seed1/fold1/pretrain", place)
    assert init_path(phase(init=str(exp)), place, UPSTREAM, False) == same / "best.pt"


def test_starts_that_are_refused(place, tmp_path):
    with pytest.raises(SertlError, match="has init_map .* but no init"):
        init_path(phase(init_map={"adapter": "teacher"}), place, UPSTREAM, False)
    with pytest.raises(SertlError, match="pretrain"):
        init_path(phase(init="pretrain"), place, UPSTREAM, False)
    other = finished_phase(tmp_path / "exp/other/seed1/fold4/pretrain", place, "def")
    with pytest.raises(SertlError, match="another encoder: checkpoint: def -> abc"):
        init_path(phase(init=str(other)), place, UPSTREAM, False)
    exp = tmp_path / "exp/other"
    save_config(exp / "config.yaml", {"phases": [{"name": "pretrain"}]})
    finished_phase(exp / "seed1/fold5/pretrain", place)
    with pytest.raises(SertlError, match="no phase pretrain of seed 1 and fold 1"):
        init_path(phase(init=str(exp)), place, UPSTREAM, False)
    record = json.loads((other / "fingerprint.json").read_text())
    record["inputs"]["upstream"]["checkpoint"] = "abc"
    (other / "fingerprint.json").write_text(json.dumps(record))
    for other_utt in ("c-1", "c-2"):  # held out, and another one of that speaker
        (other / "train_ids").write_text(f"a-1 a\n{other_utt} c\n")
        with pytest.raises(SertlError, match=f"1 utterances, or others .* e.g. {other_utt}"):
            init_path(phase(init=str(other)), place, UPSTREAM, False)
    # where the protocol trains on a speaker whom it tests on, others may
    utts = [Utterance(f"{spk}-3", spk, "x.wav", 1.0, emo="ang") for spk in "ac"]
    write_data_dir(place.fold_dir / "train", utts, ["ang", "sad"])
    init_path(phase(init=str(other)), place, UPSTREAM, False)


def test_what_a_start_has_seen_is_handed_on(place, tmp_path):
    first = finished_phase(tmp_path / "one/pretrain", place)
    (first / "train_ids").write_text("z-1 z\n")
    (tmp_path / "two").mkdir()
    save_ids(tmp_path / "two", training_data(["fold"], place, False, False), first)
    assert (tmp_path / "two/train_ids").read_text() == "a-1 a\nz-1 z\n"
