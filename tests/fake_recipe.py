# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A recipe folder with data/ and exp/ as stages 2, 6 and 7 leave them, without any training."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from sertl import fingerprint
from sertl.atomic import write_json, write_text
from sertl.data.corpus import Corpus
from sertl.data.datadir import Utterance, read_data_dir, write_data_dir, write_table
from sertl.data.folds import make_folds, write_folds

LABELS = ["ang", "hap", "neu", "sad"]
STYLES = ["improvised", "scripted"]
WORDS = "one two three four five six seven".split()


@dataclass
class FakeRecipe:
    """Writes what the stages before scoring write; every number is drawn from a fixed seed."""

    root: Path
    corpus: str = "fakecorpus"
    policy: str = "4class"
    protocol: str = "loso"
    num_sessions: int = 5
    utts_per_spk: int = 24
    labels: list[str] = field(default_factory=lambda: list(LABELS))
    rich: bool = True  # with gender, style, V/A/D and text

    def write_data(self) -> None:
        """data/all and data/fold<k>/."""
        rng = np.random.default_rng(7)
        utts = []
        for s in range(1, self.num_sessions + 1):
            for gender in "FM":
                for i in range(self.utts_per_spk):
                    spk = f"Ses0{s}{gender}"
                    extra = {}
                    if self.rich:
                        extra = {
                            "style": STYLES[i % 2],
                            "vad": tuple(rng.uniform(1, 5, 3).round(2)),
                            "text": " ".join(rng.choice(WORDS, size=4)),
                        }
                    utts.append(
                        Utterance(
                            utt=f"{spk}-{i:03d}",
                            spk=spk,
                            wav=f"wav/{spk}-{i:03d}.wav",
                            dur_sec=round(rng.gamma(3.0, 1.4) + 0.4, 2),
                            emo=self.labels[int(rng.integers(len(self.labels)))],
                            gender=gender.lower(),
                            session=f"Ses0{s}",
                            **extra,
                        )
                    )
        vad_range = (1.0, 5.0) if self.rich else None
        corpus = Corpus(
            name=self.corpus,
            policy=self.policy,
            release="test tree",
            language="en",
            licence="none, made up",
            cite="Nobody 2026",
            labels=self.labels,
            merge={"exc": "hap"},
            group_by="session",
            vad_range=vad_range,
        )
        write_data_dir(self.root / "data/all", utts, self.labels, vad_range)
        data = read_data_dir(self.root / "data/all")
        folds = make_folds(data, corpus, self.protocol)
        write_folds(folds, data, corpus, self.protocol, self.root / "data")

    def write_exp(
        self,
        tag: str = "wavlm_probe",
        seeds: tuple[int, ...] = (1, 2, 3),
        folds: tuple[int, ...] = (1, 2, 3, 4, 5),
        skill: float = 0.6,
        epochs: int = 12,
    ) -> Path:
        """exp/<tag> with one phase `main` and decoded dev and test sets."""
        exp = self.root / "exp" / tag
        write_text(exp / "config.yaml", "method: probe\ninput: feats\nphases:\n- name: main\n")
        write_text(exp / "command.txt", f"2026-01-02 03:04:05Z ./run.sh --tag {tag}\n")
        for seed in seeds:
            for fold in folds:
                folder = exp / f"seed{seed}" / f"fold{fold}"
                self.write_phase(folder / "main", seed, fold, epochs, skill)
                for name in ("dev", "test"):
                    if (self.root / f"data/fold{fold}/{name}").is_dir():
                        self.write_decode(folder, name, seed, fold, skill)
        return exp

    def write_decode(self, folder: Path, name: str, seed: int, fold: int, skill: float) -> None:
        """decode_<name>/: right with probability `skill`, else a random label."""
        data_dir = f"data/fold{fold}/{name}"
        data = read_data_dir(self.root / data_dir)
        out = folder / f"decode_{name}"
        rng = np.random.default_rng([seed, fold, int(100 * skill), name == "dev"])

        def guess(right: str, choices: list[str]) -> str:
            return right if rng.random() < skill else str(rng.choice(choices))

        fingerprint.begin(out, {"made": "by a test"}, redo=True)
        utts = data.utts
        write_text(out / "labels", "".join(f"{label}\n" for label in data.labels))
        write_table(out / "hyp_emo", {u: guess(utts[u].emo, data.labels) for u in utts})
        if self.rich:
            write_table(out / "hyp_gender", {u: guess(utts[u].gender, ["f", "m"]) for u in utts})
            write_table(out / "hyp_style", {u: guess(utts[u].style, STYLES) for u in utts})
            vad = {u: np.array(utts[u].vad) + rng.normal(0, 1, 3) for u in utts}
            write_table(out / "hyp_vad", {u: " ".join(f"{x:.4f}" for x in vad[u]) for u in vad})
            text = {u: " ".join(guess(w, WORDS) for w in utts[u].text.split()) for u in utts}
            write_table(out / "hyp_text", text)
        info = {"data_dir": data_dir, "fold": fold, "seed": seed, "set": name, "phase": "main"}
        write_json(out / "decode.json", info)
        fingerprint.finish(out)

    def write_phase(self, out: Path, seed: int, fold: int, epochs: int, skill: float) -> None:
        """run.json and log.jsonl of a finished training."""
        rng = np.random.default_rng([seed, fold])
        lines, best, best_epoch = [], -1.0, 0
        for epoch in range(1, epochs + 1):
            loss = 1.4 * np.exp(-epoch / 8) + rng.normal(0, 0.02)
            ua = skill * (1 - np.exp(-epoch / 4)) + rng.normal(0, 0.02)
            better = bool(ua > best)
            best, best_epoch = (ua, epoch) if better else (best, best_epoch)
            train = {"kind": "train", "epoch": epoch, "loss": loss, "update": 9 * epoch}
            lines.append({**train, "lr": 1e-3, "sec": 2.5, "data_wait_sec": 0.1})
            if self.protocol != "fixed":
                lines.append(
                    {
                        "kind": "dev",
                        "epoch": epoch,
                        "loss": loss,
                        "ua": ua,
                        "wa": ua,
                        "best": better,
                    }
                )
        write_text(out / "log.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        weights = np.exp(-((np.arange(5) - 2.5) ** 2) / 4 + rng.normal(0, 0.05, 5))
        write_json(
            out / "run.json",
            {
                "phase": "main",
                "method": "probe",
                "input": "feats",
                "upstream": {"name": "wavlm_base_plus", "backend": "s3prl", "checkpoint": "ab12"},
                "layers": [0, 1, 2, 3, 4],
                "selected": {"epoch": best_epoch, "metric": "dev_ua", "value": best},
                "params": {"trained": 197905, "frozen": 94_371_712, "total": 94_569_617},
                "seen_ids": {"train": {"n": 144, "hash": f"{fold:016x}"}},
                "transductive": False,
                "class_weights": "none",
                "crop_sec": 0.0,
                "config_hash": "0123456789abcdef",
                "commit": "0123456789ab",
                "seconds_per_epoch": 2.5,
                "seconds_per_update": 0.5,
                "checkpoint_mib": 1.25,
                "peak_rss_gib": 0.8 + 0.01 * fold,
                "layer_weights": (weights / weights.sum()).round(4).tolist(),
            },
        )


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Factory of fake recipe folders; the working directory is the recipe's, as in run.sh."""

    def build(**options) -> FakeRecipe:
        fake = FakeRecipe(tmp_path / "recipe", **options)
        fake.write_data()
        monkeypatch.chdir(fake.root)
        return fake

    return build
