# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The kinds of input that the campaign damages."""

import json
import os
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import torch
from damage import Kind
from mutations import VALUES, WORDS, damaged_value

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from trained_tiny import SHORT, experiment, noise_corpus  # noqa: E402

from sertl.atomic import write_json  # noqa: E402
from sertl.bin.keys import tables  # noqa: E402
from sertl.config import load_method, parse_overrides, read_config  # noqa: E402
from sertl.data.audio import check_audio, open_audio, read_audio  # noqa: E402
from sertl.data.corpus import load_corpus  # noqa: E402
from sertl.data.datadir import read_data_dir  # noqa: E402
from sertl.data.feats import FeatsStore  # noqa: E402
from sertl.data.pairs import load_pair  # noqa: E402
from sertl.models.base import MODELS, Spec  # noqa: E402
from sertl.report.experiment_report import write_report  # noqa: E402
from sertl.runs import Run  # noqa: E402
from sertl.score.decoded import read_decoded  # noqa: E402
from sertl.score.references import load_references  # noqa: E402
from sertl.score.scoring import score_experiment  # noqa: E402
from sertl.stages.decoding import decode  # noqa: E402
from sertl.stages.experiment import resolve  # noqa: E402
from sertl.stages.training import train_phase  # noqa: E402
from sertl.train.trained import load_model  # noqa: E402
from sertl.upstream.build import build_upstream, load_conf  # noqa: E402
from sertl.upstream.tiny import save_all  # noqa: E402
from sertl.use.packing import pack  # noqa: E402
from sertl.use.predictor import Predictor  # noqa: E402

CONF = ROOT / "conf"
PROTOCOL = {
    "corpus": "noise",
    "release": "1",
    "language": "none",
    "policy": "default",
    "labels": ["ang", "sad"],
    "protocol": "loso",
    "fold": 1,
    "num_folds": 1,
    "group_by": "spk",
    "test_group": "e",
    "num_utts": {"train": 18, "dev": 6, "test": 6},
    "dev_rule": "d",
    "select": "last",
    "fold_hash": "0",
    "shared_speakers": 0,
    "n_per_class": {"ang": 15, "sad": 15},
    "licence": "none",
    "cite": "nobody",
}
FORMATS = ("wav", "flac", "ogg", "aiff", "au", "caf", "w64", "mp3")


@cache
def tiny() -> Path:
    """Tiny encoders, made once."""
    folder = Path(os.environ["SERTL_CAMPAIGN"]) / "tiny"
    folder.mkdir(parents=True)
    save_all(folder)
    return folder


@cache
def finished() -> Path:
    """A finished run of one fold, made once: corpus, dump and two experiments."""
    root = Path(os.environ["SERTL_CAMPAIGN"]) / "finished"
    root.mkdir(parents=True)
    noise_corpus(root)
    write_json(root / "data/fold1/protocol.json", PROTOCOL)
    with inside(root):
        here = Path()
        experiment(here, tiny(), Path("exp/probe"), "probe", "optim_conf.epochs=2")
        experiment(here, tiny(), Path("exp/live"), "finetune", *SHORT)
        for exp in ("exp/probe", "exp/live"):
            score_experiment(exp, "test", [], [])
    return root


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def copy_of(make: Path, folder: Path) -> None:
    shutil.copytree(make, folder, dirs_exist_ok=True, symlinks=True)


# Audio


def make_audio(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for ending in FORMATS:
        soundfile.write(folder / f"a.{ending}", 0.1 * rng.standard_normal(3000), 16000)


def read_all_audio(folder: Path) -> list:
    found = []
    for ending in FORMATS:
        path = folder / f"a.{ending}"
        open_audio(path).close()
        check_audio(path)
        found.append(read_audio(path).shape)
    return found


# Configuration


def make_conf(folder: Path) -> None:
    copy_of(CONF, folder / "conf")
    for recipe in ("emodb", "nemo", "iemocap", "esd", "mini"):
        copy_of(ROOT / "egs" / recipe / "conf", folder / "egs" / recipe / "conf")
    copy_of(ROOT / "egs/adaptation/conf", folder / "egs/adaptation/conf")


def read_conf(folder: Path) -> None:
    conf = folder / "conf"
    for path in sorted((conf / "method").rglob("*.yaml")):
        for phase in load_method(conf, str(path.relative_to(conf / "method").with_suffix("")))[
            "phases"
        ]:
            build(phase)
    for path in sorted((conf / "upstream").glob("*.yaml")):
        load_conf(path.stem, conf / "upstream")
    load_references(conf / "reference_results.yaml")


def read_corpora(folder: Path) -> None:
    for path in sorted(folder.glob("egs/*/conf/corpus.yaml")):
        load_corpus(path)
    for path in sorted(folder.glob("egs/adaptation/conf/pairs/*.yaml")):
        try:
            load_pair(path.parent, path.stem, folder / "egs")
        except Exception as error:
            if "is not there; make it with" not in str(error):
                raise


@cache
def encoder() -> torch.nn.Module:
    conf = load_conf("tiny_hubert", CONF / "upstream", {"ckpt": str(tiny() / "hubert_base.pt")})
    return build_upstream(conf)


def build(phase: dict) -> None:
    """The model of a phase, small data, as its conf says."""
    sets = [(1, 4)] if "pseudo" in MODELS.get(phase["model"]).needs else []
    spec = Spec(
        labels=["a", "b"],
        hidden_size=32,
        layers=[0, 1, 2, 3],
        classes={"gender": ["f", "m"], "style": ["x", "y"]},
        vad_range=(1.0, 5.0),
        vocab_size=9,
        clusters=tuple(k for _, k in sets),
    )
    live = phase["model"] in ("frame_prediction", "two_stage", "gmp_tl")
    try:
        MODELS.build(phase["model"], spec, encoder() if live else None, conf=phase["model_conf"])
    except MemoryError:
        pass  # a model of a hundred thousand units is what was asked for


@cache
def keys() -> list[str]:
    """Every key that --set takes."""
    titles = [rows for _, _, rows in tables()]
    return [row.key for rows in titles[:3] + titles[3:4] + titles[6:] for row in rows]


def try_set(folder: Path, rng: random.Random) -> str:
    """One to three settings of random keys and values; resolved, and the models built."""
    settings = []
    for _ in range(rng.randint(1, 3)):
        key = rng.choice(keys())
        if rng.random() < 0.1:
            key = key[: rng.randrange(len(key))] + rng.choice(["", ".", "x", "=", "..", "[0]"])
        if rng.random() < 0.2:
            key = f"{rng.choice(['main', 'teacher', 'phase1', 'pretrain'])}.{key}"
        value = rng.choice(WORDS) if rng.random() < 0.5 else json.dumps(rng.choice(VALUES))
        settings.append(f"{key}={value}")
    method = rng.choice(["probe", "gmp_tl", "two_stage", "local_attributes", "peft", "wap"])
    (folder / "what").write_text(f"{method} {settings}", encoding="utf-8", errors="replace")
    ckpt = str(tiny() / "hubert_base.pt")
    conf = resolve(CONF, "tiny_hubert", method, settings, ckpt)
    for phase in conf["phases"]:
        build(phase)
    return f"{method} {settings}"


def try_overrides(folder: Path, rng: random.Random) -> str:
    """Text of --set itself."""
    text = "".join(
        rng.choice("ab.=[]{}:,'\"\\ \n\t#&*!|>%@`0123e-_") for _ in range(rng.randint(1, 30))
    )
    load_method(CONF, "probe", parse_overrides([text]))
    return repr(text)


# Data directories, dumps, runs


def make_data(folder: Path) -> None:
    copy_of(finished() / "data", folder / "data")
    for path in folder.glob("data/**/wav.scp"):
        text = path.read_text().replace("e-0.wav", f"{finished()}/e-0.wav")
        path.write_text(text)


def read_data(folder: Path) -> list:
    return [sorted(read_data_dir(p.parent).utts) for p in sorted(folder.glob("data/**/wav.scp"))]


def make_dump(folder: Path) -> None:
    [dump] = (finished() / "exp/probe").glob("dump*")
    copy_of(dump, folder / "exp/probe" / dump.name)


def read_dump(folder: Path) -> list:
    with inside(folder):
        [dump] = Path("exp/probe").glob("dump*")
        store = FeatsStore(dump, [0, 1, 2, 3])
        read = store.read if not store.pool else lambda u: store.read_vectors(u, store.pool)
        return [(utt, read(utt).shape) for utt in store.num_frames]


def make_run(folder: Path) -> None:
    copy_of(finished(), folder)


def report(folder: Path) -> dict:
    with inside(folder):
        for exp in ("exp/probe", "exp/live"):
            score_experiment(exp, "test", [], [])
        return write_report(Path("exp/probe"), "test")["test"]


def resume(folder: Path) -> list:
    """Stages 6 and 7 of a finished run: skipped, or gone on with."""
    with inside(folder):
        found = []
        for name in ("probe", "live"):
            exp = Path("exp") / name
            conf = read_config(exp)
            for phase in conf["phases"]:
                train_phase(conf, phase, Run(exp, 1, 1), False, False)
            decode(conf, Run(exp, 1, 1), ["test"], False, False)
            found.append(read_decoded(exp / "seed1/fold1/decode_test").hyps)
        return found


def make_unfinished(folder: Path) -> None:
    """As a kill leaves it, before the last look at dev."""
    make_run(folder)
    for name in ("probe", "live"):
        phase = next((folder / "exp" / name / "seed1/fold1").glob("*/best.pt")).parent
        record = json.loads((phase / "fingerprint.json").read_text())
        (phase / "fingerprint.json").write_text(json.dumps({**record, "state": "running"}))


def try_checkpoint(folder: Path, rng: random.Random) -> str:
    """A checkpoint that loads and is not ours, or not whole."""
    path = rng.choice(sorted(folder.glob("exp/*/seed1/fold1/*/best.pt")))
    saved = torch.load(path, weights_only=True)
    torch.save(damaged_tensors(saved, rng), path)
    with inside(folder):
        load_model(path.parent)
    return str(path.relative_to(folder))


def damaged_tensors(value: object, rng: random.Random) -> object:
    if torch.is_tensor(value):
        return rng.choice([value[:0], value.reshape(-1)[:1], value.double(), None, value.tolist()])
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        if rng.random() < 0.3:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: damaged_tensors(value[key], rng)}
    return damaged_value(value, rng)


def make_packed(folder: Path) -> None:
    with inside(finished()):
        pack("exp/probe", folder / "model.sertl")
        pack("exp/probe", folder / "model")


def read_packed(folder: Path) -> list:
    found = []
    for name in ("model.sertl", "model"):
        predictor = Predictor.load(folder / name, ckpt=str(tiny() / "hubert_base.pt"))
        wav = 0.1 * np.random.default_rng(0).standard_normal(9000).astype(np.float32)
        found.append(predictor.predict([wav])[0].emo)
    return found


# Encoders


def make_encoders(folder: Path) -> None:
    for name in ("whisper", "hf_hubert_base"):
        copy_of(tiny() / name, folder / name)
    shutil.copy(tiny() / "hubert_base.pt", folder)


def read_encoders(folder: Path) -> None:
    for conf, ckpt in (
        ("tiny_whisper", "whisper"),
        ("tiny_hubert", "hf_hubert_base"),
        ("tiny_hubert", "hubert_base.pt"),
    ):
        build_upstream(load_conf(conf, CONF / "upstream", {"ckpt": str(folder / ckpt)}))


KINDS = (
    Kind("audio", make_audio, read_all_audio, ("a.*",)),
    Kind("methods and encoders", make_conf, read_conf, ("conf/**/*.yaml",)),
    Kind("corpora and pairs", make_conf, read_corpora, ("egs/**/*.yaml",)),
    Kind("--set", lambda folder: None, own=try_set),
    Kind("--set text", lambda folder: None, own=try_overrides),
    Kind("data directories", make_data, read_data, ("data/**/*",)),
    Kind("dumps", make_dump, read_dump, ("exp/probe/**/*",)),
    Kind(
        "finished runs, scored",
        make_run,
        report,
        ("exp/**/*.json", "exp/**/*.jsonl", "exp/*/config.yaml", "exp/**/hyp_*", "exp/**/labels"),
        ("score_*.json", "fingerprint.json", "*.jsonl"),
    ),
    Kind(
        "finished runs, gone on",
        make_run,
        resume,
        ("exp/*/seed1/**/*", "exp/*/config.yaml", "data/fold1/**/*"),
        ("fingerprint.json", "*.jsonl", "run.json"),
    ),
    Kind("stopped runs", make_unfinished, resume, ("exp/*/seed1/fold1/[!d]*/*",)),
    Kind("foreign checkpoints", make_run, own=try_checkpoint),
    Kind("packed models", make_packed, read_packed, ("model.sertl", "model/*"), ("*",)),
    Kind("encoders", make_encoders, read_encoders, ("whisper/*", "hf_hubert_base/*", "*.pt")),
)
