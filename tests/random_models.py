# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Predictors with random weights, one for each kind of head."""

import torch
from trained_tiny import CONF

from sertl.data.tokenizer import CharTokenizer
from sertl.models.base import MODELS, Spec
from sertl.train.trained import Trained
from sertl.upstream.build import build_upstream, load_conf
from sertl.use.member import Member
from sertl.use.predictor import Predictor

MODELS_OF_FRAMES = {  # with random weights
    "BiLSTM, gender": ("gmp_tl", {"bilstm": 6, "bypass": True, "gender_weight": 0.3, "loss": "ce"}),
    "AM-Softmax": ("gmp_tl", {}),
    "text, gender, fusion": ("two_stage", {"task_mlp": True, "fusion": "concat",
                                    "tasks": ["emo", "asr", "gender"]}),
    "ratings": ("probe", {"tasks": ["emo", "vad"]}),
    "quantiles": ("linear", {"statistics": ["mean", "q50", "max"], "chosen": {"emo": {"parts": [
        {"combine": "stack", "layers": [0, 2], "columns": None},
        {"combine": "concat", "layers": [1, 2], "columns": 32}]}}}),
}  # fmt: skip


def random_model(tiny, phase_conf, name):
    """A predictor with a model of MODELS_OF_FRAMES."""
    model, model_conf = MODELS_OF_FRAMES[name]
    conf = load_conf("tiny_hubert", CONF / "upstream", {"ckpt": str(tiny / "hubert_base.pt")})
    genders = {"gender": ["f", "m"]}
    spec = Spec(["ang", "sad"], 32, [0, 1, 2], vad_range=(1, 5), vocab_size=9, classes=genders)
    torch.manual_seed(0)
    net = MODELS.build(model, spec, None, conf=model_conf).eval()
    for tensor in [*net.parameters(), *net.buffers()]:
        if tensor.is_floating_point():
            tensor.data = tensor.data + 0.3 * torch.rand_like(tensor)
    phase = phase_conf(model=model, model_conf=model_conf)
    tokenizer = CharTokenizer(["<blank>", "<unk>", "<space>", *"abcdef"])
    made = Trained(net, phase, "feats", conf, {}, tokenizer)
    names = net.statistics(model_conf, 3)
    return Predictor([Member(made, build_upstream(conf), tuple(names), None)])
