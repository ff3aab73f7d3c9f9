# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Experiments on tiny encoders, as the stages leave them."""

from pathlib import Path

import numpy as np
import soundfile

from sertl.atomic import write_json
from sertl.data.datadir import Utterance, read_data_dir, write_data_dir
from sertl.data.folds import PROTOCOL
from sertl.runs import Run
from sertl.stages.decoding import decode
from sertl.stages.dump import dump_feats
from sertl.stages.experiment import resolve
from sertl.stages.solving import solve_phase
from sertl.stages.training import train_phase
from sertl.yaml_text import save_yaml

CONF = Path(__file__).resolve().parents[1] / "conf"
SHORT = ["optim_conf.updates=2", "optim_conf.eval_updates=0", "select_conf.lambdas=[1.0]"]


def experiment(
    corpus, tiny, exp, method, *settings, seed=1, upstream="tiny_hubert", ckpt="hubert_base.pt"
):
    """Stages 3 to 7 of one fold; the folder of the run."""
    ckpt, dump = str(tiny / ckpt), str(exp / "dump")
    conf = resolve(CONF, upstream, method, settings, ckpt, str(corpus / "data"), dump)
    save_yaml(exp / "config.yaml", conf)
    phase = conf["phases"][0]
    if conf["input"] == "feats" or conf["dump_layers"]:
        upstream = dict(conf["upstream"])
        if conf["dump_layers"]:
            upstream["layers"] = conf["dump_layers"]
        normalise = bool(conf["pool"]) and phase["data_conf"]["normalise"]
        data = read_data_dir(corpus / "data/all")
        options = {"pool": conf["pool"], "normalise": normalise, "compress": False}
        dump_feats(data, upstream, conf["dump"], **options)
    run = Run(exp, seed, 1)
    (solve_phase if method == "linear" else train_phase)(conf, phase, run, False, False)
    decode(conf, run, ["test"], use_gpu=False, redo=False)
    return run


def noise_corpus(root):
    """Data directories of noise clips: train a, b, c; dev d; test e; and all of them."""
    rng = np.random.default_rng(0)
    everyone = []
    for part, speakers in {"train": "abc", "dev": "d", "test": "e"}.items():
        utts = []
        for name in (f"{spk}-{n}" for spk in speakers for n in range(6)):
            wav = 0.1 * rng.standard_normal(4000 + 731 * int(name[-1]))
            soundfile.write(root / f"{name}.wav", wav, 16000)
            emo, path = ("ang", "sad")[int(name[-1]) % 2], str(root / f"{name}.wav")
            utts.append(Utterance(name, name[0], path, len(wav) / 16000, emo=emo, order=name[-1]))
        write_data_dir(root / "data/fold1" / part, utts, ["ang", "sad"])
        everyone += utts
    write_data_dir(root / "data/all", everyone, ["ang", "sad"])
    write_json(root / "data/fold1" / PROTOCOL, {"select": "last", "fold_hash": "0"})
    return root
