# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Speakers normalised in the pooled vectors of a model that reads audio."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from fakes import LABELS, FakeStore, FakeVectors, build_model, fake_dataset

from sertl.data.datadir import DataDir, Utterance
from sertl.data.dataset import UttDataset
from sertl.data.speaker_norm import SpeakerNorm, fit_speaker_norm
from sertl.errors import SertlError
from sertl.models.base import MODELS as REGISTERED
from sertl.models.base import Spec
from sertl.seed import seed_everything
from sertl.train import checkpoint
from sertl.train.evaluate import predict
from sertl.train.live_norm import LiveNorm
from sertl.train.loop import Trainer

CPU = torch.device("cpu")
CONF = {"batch_size": 4, "batch_sec": 60.0}


class Encoder(torch.nn.Module):
    """Frames of 320 samples through one layer that trains."""

    num_layers, hidden_size, stride, sample_rate, frozen = 1, 5, 320, 16000, False

    def __init__(self):
        super().__init__()
        self.layer, self.heard = torch.nn.Linear(320, 5), 0

    def mask_embedding(self):
        return None

    def forward(self, wavs, wav_lens, layers=None, mask=None):
        self.heard += len(wavs)
        lens = wav_lens // 320
        frames = wavs[:, : lens.max() * 320].unflatten(1, (-1, 320))
        return [self.layer(frames)], lens


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A function: speakers -> a data set of 4 clips of each, with an offset of their own."""
    root = tmp_path_factory.mktemp("wav")

    def make(speakers):
        utts = {}
        for spk in speakers:
            rng = np.random.default_rng(ord(spk))
            for i in range(4):
                wav = root / f"{spk}{i}.wav"
                samples = 0.05 * rng.normal(size=640 + 320 * i) + 0.1 * (ord(spk) - ord("a"))
                soundfile.write(wav, samples.astype(np.float32), 16000, subtype="FLOAT")
                utt = f"{spk}-{i}"
                sec = len(samples) / 16000
                utts[utt] = Utterance(utt, spk, str(wav), sec, emo=LABELS[i % 3])
        return UttDataset(DataDir(Path("x"), utts, LABELS, None), {"emo": LABELS}, seed=1)

    return make


def build():
    seed_everything(1)
    spec = Spec(labels=LABELS, hidden_size=5, layers=[0])
    return build_model("probe", spec, Encoder(), {"standardise": True, "hidden": 4})


MODELS = {
    "probe": ("probe", {"standardise": True, "hidden": 4}),
    "wap": ("wap", {"wap": {"width": 4, "blocks": 1, "ffn": 8}, "bypass": "stat"}),
    "gmp_tl": ("gmp_tl", {"gender_weight": 0.0}),
    "two_stage": ("two_stage", {"tasks": ["emo"]}),
    "two_stage that reads": ("two_stage", {"tasks": ["emo", "asr"]}),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_encoder_hears_an_utterance_once_while_weights_rest(data, name):
    seed_everything(1)
    spec = Spec(labels=LABELS, hidden_size=5, layers=[0], vocab_size=7)
    model = build_model(MODELS[name][0], spec, Encoder(), MODELS[name][1]).eval()
    train, dev = data("abc"), data("de")
    train.tokenizer = dev.tokenizer = SimpleNamespace(
        encode=lambda text: [], decode=lambda tokens: ""
    )
    live = LiveNorm(model, norm_conf("online"), CPU, None)
    live.refresh(train, 1, fit=True)

    def said():
        """Of dev in two orders."""
        found = []
        for seed in (1, 2):
            live.refresh(dev, seed)
            heard = predict(model, dev, norm_conf("online"), CPU)[0]
            found.append({utt: out["emo"] for utt, out in heard.items()})
        return found

    model.upstream.heard = 0
    wanted = said()
    assert model.upstream.heard == 4 * len(dev)
    model.upstream.heard = 0
    with live.once():
        found = said()
    often = 4 if name == "two_stage that reads" else 1  # its text is of the frames
    assert model.upstream.heard == often * len(dev)
    for ours, theirs in zip(found, wanted, strict=True):
        for utt in theirs:
            np.testing.assert_array_equal(ours[utt], theirs[utt])
    with torch.no_grad():
        model.upstream.layer.weight.mul_(2.0)
    assert not np.allclose(said()[0]["d-0"], wanted[0]["d-0"])  # nothing is left of it


def norm_conf(mode="offline", prior=0.0, scale=False):
    return {**CONF, "speaker_norm": {"mode": mode, "prior": prior, "scale": scale}}


def pooled(model, data):
    with torch.no_grad():
        return model.pool(data.batch(range(len(data))))


@pytest.mark.parametrize("mode", ["offline", "online"])
@pytest.mark.parametrize("scale", [False, True])
def test_frames_are_normalised_as_their_statistics_are(mode, scale):
    """A model that pools frames itself says what one says of the pooled dump, deviations too."""
    conf = {"pooling": "stat", "combine": "concat", "hidden": 4}
    spec = Spec(labels=LABELS, hidden_size=6, layers=[0, 1])
    statistics = REGISTERED.get("probe").statistics(conf, 2)
    said = []
    for kind in (FakeStore, FakeVectors):
        seed_everything(1)
        model = build_model("probe", spec, None, conf).eval()
        train, dev = (
            fake_dataset(n, kind=kind, statistics=statistics if kind is FakeVectors else ())
            for n in (40, 16)
        )
        if train.vectors is not None:
            found = norm_conf(mode, 1.5, scale)["speaker_norm"]
            norm = fit_speaker_norm(train.vectors, [u.spk for u in train.utts], found)
            dev.normalise_speakers(norm, 3)
        live = LiveNorm(model, norm_conf(mode, 1.5, scale), CPU, None, before=dev.normalised)
        live.refresh(train, 1, fit=True)
        live.refresh(dev, 3)
        outputs = predict(model, dev, norm_conf(mode), CPU)[0]
        said.append(np.stack([outputs[u.utt]["emo"] for u in dev.utts]))
    np.testing.assert_allclose(said[0], said[1], atol=2e-4)


@pytest.mark.parametrize("scale", [False, True])
def test_speakers_are_centred_by_all_their_clips(data, scale):
    model, train = build().eval(), data("abc")
    LiveNorm(model, norm_conf(scale=scale), CPU, None).refresh(train, 1, fit=True)
    batch = train.batch(range(12))
    with torch.no_grad():
        found = model.centred(model.pool(batch), batch)
    for first in (0, 4, 8):
        assert found[first : first + 4].mean(dim=0).abs().max() < 1e-5
        if scale:
            std = found[first : first + 4].std(dim=0, correction=0)
            assert torch.allclose(std, torch.ones(5), atol=1e-3)


def test_what_is_off_or_cannot_be(data):
    model, train = build(), data("ab")
    LiveNorm(model, norm_conf(mode="none"), CPU, None).refresh(train, 1, fit=True)
    assert model.shifts == {}
    model.centred = lambda vectors, batch: vectors  # as a model without a pooled vector
    with pytest.raises(SertlError, match="does not call `centred`"):
        LiveNorm(model, norm_conf(), CPU, None).refresh(train, 1, fit=True)


@pytest.mark.parametrize("needs", [("pseudo",), ("text",), ()])
def test_a_phase_that_says_nothing_of_utterances_is_not_looked_at(data, needs):
    model = build()
    model.needs = needs
    model.predict = None  # not called
    live = LiveNorm(model, norm_conf(), CPU, None)
    live.refresh(data("ab"), 1, fit=True)
    assert live.norm is None and model.shifts == {}


def test_new_speakers_get_the_prior_of_training(data):
    model, new = build().eval(), data("z")
    norm = SpeakerNorm("offline", 4.0, torch.full((5,), 2.0))
    LiveNorm(model, norm_conf(), CPU, None, norm).refresh(new, 1)
    expected = (pooled(model, new).sum(dim=0) + 4 * 2.0) / (4 + 4)
    assert torch.allclose(model.shifts["z-0"][0], expected, atol=1e-5)


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_training_keeps_up_and_resumes_exactly(data, tmp_path, phase_conf, ema, monkeypatch):
    """Encoder and shifts move together; killed in the middle of an epoch, the same again."""
    conf = phase_conf(
        optim_conf={"epochs": 3, "ema": ema, "save_updates": 1, "lr": 0.05},
        data_conf={"batch_size": 4, "speaker_norm": norm_conf("online", 2.0)["speaker_norm"]},
    )

    def trainer(folder):
        (tmp_path / folder).mkdir(exist_ok=True)
        out = tmp_path / folder
        return Trainer(build(), conf, data("abc"), data("de"), out, 1, "dev_loss", CPU)

    whole = trainer("whole")
    first = pooled(whole.model, data("abc"))
    whole.run()
    assert not torch.allclose(first, pooled(whole.model, data("abc")), atol=1e-3)
    killed = trainer("killed")
    after_step = killed.model.after_step

    def die(update, total):
        after_step(update, total)
        if update == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(killed.model, "after_step", die)
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    again = trainer("killed")
    again.run()
    ours, theirs = (checkpoint.trained_state(t.model) for t in (again, whole))
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor), name
    best = checkpoint.load(tmp_path / "whole/best.pt")["speaker_norm"]
    assert best["mode"] == "online" and best["weight"] == 2.0 and best["mean"].shape == (5,)


def test_a_solved_start_hears_an_utterance_once(data, tmp_path, phase_conf):
    conf = phase_conf(start="solved", optim_conf={"epochs": 0}, data_conf={"batch_size": 4})
    train, model = data("abcd"), build()
    Trainer(model, conf, train, None, tmp_path, 1, "last", CPU).run()
    assert model.upstream.heard == len(train)


@pytest.mark.parametrize("wanted", [0.0, 0.5, 1.0])
def test_speakers_are_known_as_the_kept_share_of_the_way_has_them(
    data, tmp_path, phase_conf, wanted
):
    """The mean in best.pt is that of the weights in it, whichever share was tried last."""
    conf = phase_conf(
        start="solved",
        optim_conf={"epochs": 2, "lr": 0.05},
        data_conf={"batch_size": 4, "speaker_norm": norm_conf("offline", 2.0)["speaker_norm"]},
        select_conf={"lambdas": [0.0, 0.5, 1.0]},
    )
    train, spec = data("abc"), Spec(labels=LABELS, hidden_size=5, layers=[0])
    model = build_model("probe", spec, Encoder(), {"pooling": "stat", "hidden": 16})
    trainer = Trainer(model, conf, train, data("de"), tmp_path, 1, "last", CPU)
    judge, shares = trainer.judge_dev, iter([0.0, 0.5, 1.0])
    trainer.judge_dev = lambda: judge() if trainer.state.judged < trainer.stop else chosen()

    def chosen():
        return {**judge(), "loss_calibrated": float(next(shares) != wanted)}

    assert trainer.run().share == wanted
    saved = checkpoint.load(tmp_path / "best.pt")
    checkpoint.load_trained(model, saved["model"], "best.pt")
    live = LiveNorm(model, conf["data_conf"], CPU, None)
    live.refresh(train, 1, fit=True)
    torch.testing.assert_close(saved["speaker_norm"]["mean"], live.norm.mean, rtol=0, atol=0)
