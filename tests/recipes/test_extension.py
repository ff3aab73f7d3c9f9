# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A new corpus, upstream and method are new files; no existing file changes."""

import hashlib
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
        spk, label, _ = path.stem.split("_")
        yield Utterance(f"{spk}-{path.stem}", spk, str(path), 0.0, emo=label)

def main():
    prepare_command(__doc__, lambda args: read(args.corpus_dir))

if __name__ == "__main__":
    run(main)
'''
MODEL = '''
"""Last layer, mean pooling, one linear layer."""
import torch
from sertl.models.base import SERModel
from sertl.nn.losses import cross_entropy
from sertl.nn.pooling import MeanPooling

class Model(SERModel):
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
    for spk in ("a", "b", "c"):
        for label, pitch in (("high", 400), ("low", 120)):
            for n in range(4):
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
    after = hashes(root)
    assert {path: after.get(path) for path in before} == before
