# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Tuning from a dumped hidden state: the same training as from audio, for every kind of encoder."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sertl.atomic import write_json
from sertl.data.datadir import Utterance, read_data_dir, write_data_dir
from sertl.data.folds import PROTOCOL
from sertl.errors import SertlError
from sertl.runs import Run
from sertl.stages.decoding import decode
from sertl.stages.dump import dump_feats
from sertl.stages.experiment import resolve
from sertl.stages.training import train_phase
from sertl.train import checkpoint

CONF = Path(__file__).resolve().parents[2] / "conf"
ENCODERS = {
    "tiny_hubert": "hubert_base.pt",
    "tiny_wav2vec2": "wav2vec2_large.pt",
    "tiny_wavlm": "wavlm_base.pt",
    "tiny_whisper": "whisper",
    "tiny_emotion2vec": "emotion2vec",
}
FROM = {"tiny_emotion2vec": 0}  # others: 1
SETTINGS = [
    "optim_conf.updates=3", "optim_conf.eval_updates=0", "optim_conf.warmup=0.0", "select=last",
    "optim_conf.lr=0.003", "data_conf.crop_sec=0.0", "data_conf.time_mask=0.0",
    "data_conf.batch_size=4", "start=random", "select_conf.lambdas=[1.0]",
]  # fmt: skip
METHODS = {
    "last": ("peft/last_blocks", ["upstream_conf.last_blocks=2"]),
    "lora": ("peft/lora", ["upstream_conf.peft.lora.layers=[2,3]"]),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    everyone = []
    for part, speakers in {"train": "ab", "test": "d"}.items():
        utts = []
        for name in (f"{spk}-{n}" for spk in speakers for n in range(5)):
            wav = 0.1 * rng.standard_normal(4000 + 731 * int(name[-1]))
            soundfile.write(root / f"{name}.wav", wav, 16000)
            emo = ("ang", "sad")[int(name[-1]) % 2]
            path = str(root / f"{name}.wav")
            utts.append(Utterance(name, name[0], path, len(wav) / 16000, emo=emo))
        write_data_dir(root / "data/fold1" / part, utts, ["ang", "sad"])
        everyone += utts
    write_data_dir(root / "data/all", everyone, ["ang", "sad"])
    write_json(root / "data/fold1" / PROTOCOL, {"select": "last", "fold_hash": "0"})
    return root


def trained(data, tiny, out, encoder, method, *settings):
    """Through stages 3, 6 and 7: weights, and predictions of the test set."""
    name, more = METHODS[method]
    ckpt = str(tiny / ENCODERS[encoder])
    dump = str(out / "dump")
    conf = resolve(
        CONF, encoder, name, [*SETTINGS, *more, *settings], ckpt, str(data / "data"), dump
    )
    if conf["dump_layers"]:
        upstream = {**conf["upstream"], "layers": conf["dump_layers"]}
        dump_feats(read_data_dir(data / "data/all"), upstream, conf["dump"], compress=False)
    run = Run(out / "exp", 1, 1)
    train_phase(conf, conf["phases"][0], run, use_gpu=False, redo=False)
    decode(conf, run, ["test"], use_gpu=False, redo=False)
    folder = run.folder / conf["phases"][0]["name"]
    hyp = (run.decoded("test") / "hyp_emo").read_text()
    return checkpoint.load(folder / "best.pt")["model"], hyp


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_equals_training_from_audio(data, tiny, tmp_path, encoder, method):
    live, heard = trained(data, tiny, tmp_path / "live", encoder, method)
    first = f"upstream_conf.from_layer={FROM.get(encoder, 1)}"
    dumped, read = trained(data, tiny, tmp_path / "dumped", encoder, method, first)
    assert live.keys() == dumped.keys() and heard == read
    moved = 0
    for name, tensor in live.items():
        if name.endswith("k_proj.bias"):
            continue  # softmax ignores it: its gradient is rounding, which Adam makes steps of
        torch.testing.assert_close(dumped[name], tensor, rtol=1e-3, atol=2e-4, msg=name)
        moved += name.startswith("upstream.")
    assert moved


def test_all_means_the_blocks_above(data, tiny, tmp_path):
    """With from_layer=1 of three blocks `tune: all` trains two of them, and nothing below."""
    weights, _ = trained(
        data, tiny, tmp_path, "tiny_hubert", "last",
        "upstream_conf.from_layer=1", "upstream_conf.tune=all",
    )  # fmt: skip
    blocks = {n.split("layers.")[1][0] for n in weights if "encoder.layers." in n}
    assert blocks == {"1", "2"}
    assert not any("feature" in n or "pos_conv" in n for n in weights)


def test_refused(data, tiny, tmp_path):
    for settings, message in (
        (["upstream_conf.from_layer=3"], "expected null or a hidden state that blocks follow"),
        (["upstream_conf.from_layer=2"], "last_blocks is 2, expected 1..1"),
        (["upstream_conf.from_layer=1", "data_conf.augment.noise=0.5"], "augment"),
        (["upstream_conf.from_layer=1", "data_conf.layers=[1]"], "nothing would be tuned"),
    ):
        with pytest.raises(SertlError, match=message):
            trained(data, tiny, tmp_path / message[:5], "tiny_hubert", "last", *settings)
