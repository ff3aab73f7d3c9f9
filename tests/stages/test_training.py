# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Two-stage adaptation of a tiny encoder: the second stage starts from the first, exactly."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from sertl.atomic import write_json
from sertl.config import load_method
from sertl.data.datadir import Utterance, read_table, write_data_dir
from sertl.data.folds import PROTOCOL
from sertl.errors import SertlError
from sertl.runs import Run
from sertl.stages.decoding import decode
from sertl.stages.experiment import resolve
from sertl.stages.start import freeze
from sertl.stages.training import select_of, train_phase
from sertl.train import checkpoint
from sertl.upstream.tiny import save_hubert

CONF = Path(__file__).resolve().parents[2] / "conf"
PARTS = {"train": "ab", "test": "d", "source_train": "pq", "source_test": "s"}
SMALL = [
    "upstream_conf.peft.adapter.width=4", "upstream_conf.peft.lora.rank=2", "model_conf.hidden=8",
    "optim_conf.epochs=2", "optim_conf.warmup=0.0", "data_conf.crop_sec=0.0", "select=last",
    "start=random", "model_conf.combine=mix",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A function: settings of the second stage -> folder of the fold, weights of both stages."""
    root = tmp_path_factory.mktemp("adapt")
    rng = np.random.default_rng(0)
    for part, speakers in PARTS.items():
        utts = []
        for name in (f"{spk}-{n}" for spk in speakers for n in range(4)):
            soundfile.write(root / f"{name}.wav", 0.1 * rng.standard_normal(4000), 16000)
            emo = ("ang", "sad")[int(name[-1]) % 2]
            utts.append(Utterance(name, name[0], str(root / f"{name}.wav"), 0.25, emo=emo))
        write_data_dir(root / "data/fold1" / part, utts, ["ang", "sad"])
    write_json(root / "data/fold1" / PROTOCOL, {"select": "last", "fold_hash": "0"})
    save_hubert(root / "hubert.pt")
    first = {}

    def train(tag, *settings, method="adapt/two_stage"):
        run = Run(root / "exp" / tag, 1, 1)
        ckpt, data = str(root / "hubert.pt"), str(root / "data")
        conf = resolve(CONF, "tiny_hubert", method, [*SMALL, *settings], ckpt, data)
        if first and method == "adapt/two_stage":  # the first stage is the same for all
            conf["phases"] = conf["phases"][1:]
            conf["phases"][0]["init"]["from"] = str(first["folder"] / "source")
        for phase in conf["phases"]:
            train_phase(conf, phase, run, use_gpu=False, redo=False)
        first.setdefault("folder", run.folder)
        decode(conf, run, ["test", "source_test"], use_gpu=False, redo=False)
        stages = first["folder"] / "source", run.folder / conf["phases"][-1]["name"]
        return run.folder, *(checkpoint.load(s / "best.pt")["model"] for s in stages)

    train("two_stage")
    return train


def moved(before, after):
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def trainable(state):
    """Names of what updates may move: all but the statistics that vectors are standardised by."""
    return {name for name in state if not name.startswith("standard.")}


def test_stage_2_starts_from_the_weights_of_stage_1(trained):
    """Without a step of any size it ends where stage 1 ended; without `init`, elsewhere."""
    _, before, after = trained("still", "optim_conf.lr=0.0")
    assert moved(before, after) == set()
    _, before, after = trained("unloaded", "optim_conf.lr=0.0", method="adapt/target_only")
    assert any("lora.a" in name for name in moved(before, after))


def test_everything_moves_unless_it_is_frozen(trained):
    folder, before, after = trained("free")
    assert moved(before, after) == trainable(before)
    for part in ("test", "source_test"):
        data = read_table(folder.parents[3] / "data/fold1" / part / "utt2spk")
        assert read_table(folder / f"decode_{part}/hyp_emo").keys() == data.keys()


def test_what_only_a_resume_would_read_goes_when_a_phase_is_done(trained):
    """Also what an older version, or a kill at the last line, has left."""
    folder, *_ = trained("tidy")
    phase = folder / "target"
    assert [p.relative_to(folder) for p in folder.rglob("*.pt")] == [Path("target/best.pt")]
    (phase / "select1").mkdir(exist_ok=True)
    for name in ("last.pt", "select1/last.pt", "select1/best.pt"):
        (phase / name).touch()
    trained("tidy")
    assert [p.relative_to(folder) for p in folder.rglob("*.pt")] == [Path("target/best.pt")]


@pytest.mark.parametrize(
    "words", ["[lora.a,lora.b,adapter,gate,heads]", "[lora.a]", "[heads,mix]", "[adapter.down]"]
)
def test_frozen_parts_do_not_move(trained, words):
    _, before, after = trained(f"frozen{words}", f"init.freeze={words}")
    frozen = words.strip("[]").split(",")
    kept = {
        name for name in before
        if any(f".peft.{w}" in name or name.startswith(w) for w in frozen)
    }  # fmt: skip
    assert kept and moved(before, after) == trainable(before) - kept


def test_the_methods_of_the_table_agree():
    """Before is what source_only gives, and target_only differs from stage 2 in its start alone."""
    for folder in ("adapt", "adapt_probe"):
        methods = {n: load_method(CONF, f"{folder}/{n}")["phases"] for n in
                   ("source_only", "target_only", "pooled", "two_stage")}  # fmt: skip
        first, second = methods["two_stage"]
        assert methods["source_only"] == [first]
        alone = {**second, "init": {**second["init"], "from": None}}
        assert methods["target_only"] == [alone]
        both = {**second["data_conf"], "train": ["fold", "fold/source_train"]}
        assert methods["pooled"] == [{**alone, "data_conf": both}]


class Model(nn.Module):
    """An encoder's own layer, a part in it, and a head."""

    def __init__(self):
        super().__init__()
        self.upstream = nn.Linear(2, 2)
        self.upstream.peft = nn.ModuleDict({"lora": nn.Linear(2, 2)})
        self.heads = nn.Linear(2, 2)
        self.frozen_modules = []
        self.kept = {"upstream.peft.lora.weight", "upstream.peft.lora.bias"}


def phase(words, init="source"):
    return {"name": "target", "init": {"freeze": words, "from": init}}


def test_freeze_names_what_it_does_not_know():
    with pytest.raises(
        SertlError, match="unknown module in init.freeze: 'hedas'; did you mean 'heads"
    ):
        freeze(Model(), phase(["hedas"]))
    with pytest.raises(SertlError, match="unknown module in init.freeze: 'upstream'"):
        freeze(Model(), phase(["upstream"]))  # its own tensors are upstream_conf's matter
    with pytest.raises(SertlError, match="unknown module in init.freeze: ''"):
        freeze(Model(), phase([""]))


def test_freeze_needs_what_it_keeps():
    with pytest.raises(SertlError, match=r"init.from \(None\) gave no heads.weight"):
        freeze(Model(), phase(["heads"], init=None))
    model = Model()
    model.kept = set()
    with pytest.raises(SertlError, match=r"init.from \(source\) gave no upstream.peft.lora.weight"):
        freeze(model, phase(["lora"]))


def test_freeze_leaves_something_to_train():
    model = Model()
    freeze(model, phase([]))
    assert all(p.requires_grad for p in model.parameters())
    model.upstream.weight.requires_grad_(False)
    model.upstream.bias.requires_grad_(False)
    with pytest.raises(SertlError, match="leaves nothing to train"):
        freeze(model, phase(["lora", "heads"]))


@pytest.mark.parametrize(
    ("word", "rule", "expected"),
    [
        ("auto", "dev_ua", "dev_ua"), ("auto", "last", "last"), ("dev_loss", "last", "dev_loss"),
        ("auto_wer", "dev_ua", "dev_wer"), ("auto_wer", "last", "last"),
    ],
)  # fmt: skip
def test_what_chooses(word, rule, expected):
    assert select_of({"select": word}, {"select": rule}) == expected
