# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A new corpus, upstream, method, label, loss and pooling are new files; nothing else changes."""

import hashlib
import json
import os
import textwrap

import numpy as np
import pytest
import soundfile
from copies import Recipe, copy_repository

CORPUS = """
name: tones
release: made for a test
language: none
licence: none
cite: none
labels: [high, low]
group_by: spk
protocol: loso
"""
PREPARE = '''
"""Tones: <spk>_<label>_<n>.wav."""
from pathlib import Path
from sertl.cli import run
from sertl.data.datadir import Utterance
from sertl.data.prepare import prepare_command

def read(folder):
    for path in sorted(Path(folder).glob("*.wav")):
        spk, label, n = path.stem.split("_")
        room = "-" if (label, n) == ("low", "0") else f"room{int(n) % 2}"
        yield Utterance(f"{spk}-{path.stem}", spk, str(path), 0.0, emo=label, own={"room": room})

def main():
    prepare_command(__doc__, lambda args: read(args.corpus_dir))

if __name__ == "__main__":
    run(main)
'''
MODEL = '''
"""Last layer, mean pooling, one linear layer."""
import torch
from sertl.models.base import MODELS, SERModel
from sertl.nn.losses import cross_entropy
from sertl.nn.pooling import MeanPooling

@MODELS.register("simplest")
class Simplest(SERModel):
    def __init__(self, spec, upstream=None, bias: bool = True):
        super().__init__(spec, upstream)
        self.pooling = MeanPooling(spec.hidden_size)
        self.head = torch.nn.Linear(spec.hidden_size, len(spec.labels), bias)

    def predict(self, batch):
        hidden, lens = self.hidden(batch)
        return {"emo": self.head(self.pooling(hidden[:, -1], lens))}

    def loss(self, outputs, batch):
        value, weight = cross_entropy(outputs["emo"], batch.emo)
        return value, {"weight": weight}
'''
METHOD = """
description: the smallest method
input: feats
phases:
  - name: only
    model: simplest
    model_conf: {bias: false}
    optim_conf: {epochs: 5, lr: 0.05}
"""
ADVERSARY = '''
"""Emotion with a speaker adversary (Ganin et al. 2016) and a second task of the corpus's own."""
import torch
from sertl.models.base import MODELS, SERModel
from sertl.nn.losses import CLASS_LOSSES, cross_entropy
from sertl.nn.pooling import POOLINGS

class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -0.1 * gradient

@MODELS.register("adversary")
class Adversary(SERModel):
    needs = ("emo", "spk", "room")

    def __init__(self, spec, upstream=None, pooling="mean", loss="ce"):
        super().__init__(spec, upstream)
        self.pooling = POOLINGS.build(pooling, spec.hidden_size)
        self.emo_loss = CLASS_LOSSES.build(loss, spec.class_weights)
        self.shared = torch.nn.Linear(self.pooling.output_size, 16)
        sizes = {name: len(classes) for name, classes in spec.all_classes.items()}
        self.heads = torch.nn.ModuleDict({n: torch.nn.Linear(16, s) for n, s in sizes.items()})

    def embed(self, batch):
        hidden, lens = self.hidden(batch)
        return self.shared(self.pooling(hidden[:, -1], lens)).relu()

    def outputs(self, shared):
        return {name: self.heads[name](shared) for name in ("emo", "room")}

    def predict(self, batch):
        return self.outputs(self.embed(batch))

    def forward(self, batch):
        shared = self.embed(batch)
        value, stats = self.loss(self.outputs(shared), batch)
        spk, _ = cross_entropy(self.heads["spk"](Reverse.apply(shared)), batch.labels["spk"])
        return value + spk, {**stats, "spk": spk.detach()}

    def loss(self, outputs, batch):
        value, weight = self.emo_loss(outputs["emo"], batch.emo)
        room, _ = cross_entropy(outputs["room"], batch.labels["room"])
        return value + 0.5 * room, {"weight": weight}
'''
ADDED = '''
"""A pooling and a loss of this repository's user."""
from sertl.nn.losses import CLASS_LOSSES, CrossEntropy
from sertl.nn.pooling import POOLINGS, MeanPooling

@POOLINGS.register("doubled")
class Doubled(MeanPooling):
    def forward(self, feats, lens):
        return 2 * super().forward(feats, lens)

@CLASS_LOSSES.register("smooth")
class Smooth(CrossEntropy):
    def forward(self, logits, target):
        return super().forward(0.9 * logits, target)
'''


def hashes(root):
    return {
        p.relative_to(root): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file() and not p.is_symlink() and "__pycache__" not in p.parts
    }


@pytest.fixture
def tones(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "tones with a space"
    folder.mkdir()
    for spk in "abcde":
        for label, pitch in (("high", 400), ("low", 120)):
            for n in range(3):
                time = np.arange(8000) / 16000
                wave = np.sin(2 * np.pi * pitch * rng.uniform(0.9, 1.1) * time)
                noise = 0.05 * rng.normal(size=8000)
                soundfile.write(folder / f"{spk}_{label}_{n}.wav", 0.5 * wave + noise, 16000)
    return folder


def test_new_corpus_upstream_and_method_touch_nothing_else(tmp_path, tones):
    root = copy_repository(tmp_path / "sertl")
    before = hashes(root)

    folder = root / "egs/tones"
    (folder / "conf").mkdir(parents=True)
    (folder / "local").mkdir()
    (folder / "conf/corpus.yaml").write_text(CORPUS)
    (folder / "local/prepare_data.py").write_text(textwrap.dedent(PREPARE))
    os.symlink("../iemocap/run.sh", folder / "run.sh")
    mfcc = (root / "conf/upstream/mfcc.yaml").read_text()
    (root / "conf/upstream/my_mfcc.yaml").write_text(mfcc)
    (root / "sertl/models/simplest.py").write_text(MODEL)
    (root / "conf/method/simplest.yaml").write_text(METHOD)

    run = Recipe(folder)
    run("--corpus-dir", str(tones), "--upstream", "my_mfcc", "--method", "simplest", "--nj", "1")
    results = (folder / "exp/my_mfcc_simplest/RESULTS.md").read_text()
    assert "UA" in results

    (root / "sertl/models/adversary.py").write_text(ADVERSARY)
    (root / "sertl/nn/added.py").write_text(ADDED)
    (root / "conf/method/adversary.yaml").write_text(
        METHOD.replace("simplest", "adversary").replace(
            "bias: false", "pooling: doubled, loss: smooth"
        )
    )
    run("--stage", "6", "--upstream", "my_mfcc", "--method", "adversary", "--nj", "1")
    fold = folder / "exp/my_mfcc_adversary/seed1/fold1"
    epochs = [json.loads(line) for line in (fold / "only/log.jsonl").read_text().splitlines()]
    assert all(e["spk"] > 0 for e in epochs if e["kind"] == "train")
    room = json.loads((fold / "score_test.json").read_text())["classes"]["room"]
    assert set(room["recall"]) == {"room0", "room1"} and room["n"] == 5  # one is unknown
    assert "room" in (folder / "exp/my_mfcc_adversary/RESULTS.md").read_text()

    after = hashes(root)
    assert {path: after.get(path) for path in before} == before
