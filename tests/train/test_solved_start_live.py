# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""On every kind of encoder, whatever is put inside: the first prediction is the frozen one's."""

from pathlib import Path

import pytest
import torch
from fakes import LABELS, build_model
from torch.nn.utils.rnn import pad_sequence

from sertl.data.batch import Batch
from sertl.models.base import Spec
from sertl.peft.tuning import tune
from sertl.solve.held_out import Settings, Target
from sertl.solve.selection import choose, solve_choice
from sertl.train.solved_start import solve_start
from sertl.upstream.build import build_upstream, load_conf

CONF = Path(__file__).resolve().parents[2] / "conf/upstream"
ENCODERS = {
    "hubert": ("tiny_hubert", "hubert_base.pt"),
    "hubert, pre-norm": ("tiny_hubert", "hubert_large.pt"),
    "hubert, folder": ("tiny_hubert", "hf_hubert_large"),
    "wav2vec2": ("tiny_wav2vec2", "wav2vec2_base.pt"),
    "wavlm": ("tiny_wavlm", "wavlm_large.pt"),
    "whisper": ("tiny_whisper", "whisper"),
    "emotion2vec": ("tiny_emotion2vec", "emotion2vec"),
    "eat": ("tiny_eat", "eat"),
}
PARTS = {
    "adapter": {"width": 8},
    "lora": {"alpha": 4, "rank": 4, "dora": True},
    "gate": {},
    "prefix": {"length": 2},
    "ia3": {},
}
TUNES = {
    "all": {"tune": "all"},
    "last": {"tune": "last", "last_blocks": 2},
    "parts": {"peft": PARTS},
}
MODELS = {
    "probe": {"pooling": "stat", "combine": "concat", "hidden": 0},
    "two_stage": {"pooling": "stat", "combine": "concat", "tasks": ["emo"]},
    "gmp_tl": {"pooling": "stat", "combine": "concat", "bilstm": 4, "bypass": True, "loss": "ce"},
}
LAYERS = [0, 1, 2, 3]


class Clips:
    """Twelve clips of noise of four speakers, coloured by class."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.wavs, self.emo = [], []
        for i in range(12):
            wav = 0.1 * torch.randn(3000 + 400 * (i % 5), generator=generator)
            self.wavs.append(wav.cumsum(0) * 0.05 if i % 3 == 1 else wav * (1 + i % 3))
            self.emo.append(i % 3)
        names = [f"s{i % 4}-{i}" for i in range(12)]
        self.utts = [type("Utt", (), {"utt": n, "spk": n[:2]})() for n in names]

    def batch(self, rows):
        wavs = [self.wavs[i] for i in rows]
        return Batch(
            utt=[self.utts[i].utt for i in rows],
            wav=pad_sequence(wavs, batch_first=True),
            wav_lens=torch.tensor([len(w) for w in wavs]),
            labels={"emo": torch.tensor([self.emo[i] for i in rows])},
        )


# What differs between encoders lies below the model: all of them under one, all models on two.
CASES = [
    (encoder, tuned, model)
    for encoder in ENCODERS
    for tuned in TUNES
    for model in MODELS
    if model == "probe" or encoder in ("hubert", "whisper")
]


@pytest.mark.parametrize(("encoder", "tuned", "model"), CASES)
def test_first_prediction_is_that_of_the_frozen_encoder(tiny, encoder, tuned, model):
    name, file = ENCODERS[encoder]
    conf = load_conf(name, CONF, {"ckpt": str(tiny / file)})
    data, spec = Clips(), Spec(labels=LABELS, hidden_size=32, layers=LAYERS)
    upstream = build_upstream(conf)
    options = {"tune": "none", "peft": {}, "from_layer": None, "grad_checkpoint": False}
    tune(upstream, {**options, **TUNES[tuned]}, LAYERS)
    torch.manual_seed(0)
    built = build_model(model, spec, upstream, MODELS[model]).eval()
    batches = [data.batch(range(i, i + 4)) for i in (0, 4, 8)]
    solve_start(built, data, batches, torch.device("cpu"))

    frozen = build_model(
        "probe", spec, build_upstream(conf), {"pooling": "stat", "combine": "concat", "hidden": 0}
    ).eval()
    everyone = data.batch(range(12))
    with torch.no_grad():
        vectors = frozen.pool(everyone).unflatten(1, (4, 64))
        said = built.predict(everyone)["emo"]
    target, groups = Target(everyone.emo, 3), [u.spk for u in data.utts]
    settings = Settings(first_columns=32)
    choice = choose(vectors, target, groups, settings)
    head = solve_choice(vectors, target, groups, choice, settings).as_one_map(vectors)
    expected = head(vectors.flatten(1)).float()
    torch.testing.assert_close(said.log_softmax(1), expected.log_softmax(1), rtol=0.02, atol=0.02)
    assert torch.equal(said.argmax(1), expected.argmax(1))
