# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""GMP-TL's utterance classifier: tasks, losses, margin."""

from dataclasses import replace

import pytest
import torch
from fakes import build_model
from gmp_batches import SPEC, make_batch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sertl.errors import SertlError
from sertl.models.gmp_tl import BiLSTM
from sertl.nn.am_softmax import CosineHead
from sertl.train.checkpoint import trained_state


def test_teacher_loss_is_the_weighted_sum(make):
    model = make("gmp_tl", bilstm=8, gender_weight=0.3, loss="ce").train()
    batch = make_batch()
    loss, stats = model(batch)
    out = model.predict(batch)
    emotion = F.cross_entropy(out["emo"], batch.emo)
    gender = F.cross_entropy(out["gender"][:2], batch.gender[:2])  # the third is unknown
    torch.testing.assert_close(loss, 0.7 * emotion + 0.3 * gender * 2 / 3)
    assert model.needs == ("emo", "gender") and stats["weight"] == 3
    plain = make("gmp_tl", loss="ce")
    assert plain.needs == ("emo",) and set(plain.predict(batch)) == {"emo"}


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0, 1.0]])
def test_micro_batches_change_nothing_whatever_labels_are_missing(make, ckpt, weights):
    upstream = make("gmp_tl").upstream
    spec = replace(SPEC, class_weights=weights)
    conf = {"bilstm": 8, "gender_weight": 0.3, "loss": "ce"}
    model = build_model("gmp_tl", spec, upstream, conf).train()

    def gradient(cuts):
        """As the training loop adds up pieces of a batch."""
        model.zero_grad()
        total = 0.0
        for rows in cuts:
            batch = make_batch(rows=rows)  # the gender of row 2 is unknown
            batch.emo[batch.gender == 1] = -1
            loss, stats = model(batch)
            (loss * stats["weight"]).backward()
            total += stats["weight"]
        return [p.grad / total for p in model.parameters() if p.grad is not None]

    for whole, pieces in zip(gradient([[0, 1, 2]]), gradient([[1], [2, 0]]), strict=True):
        torch.testing.assert_close(whole, pieces, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("genders", [(), ("m",)])
def test_data_without_two_genders_drop_the_task_and_say_so(genders, caplog):
    spec = replace(SPEC, classes={"gender": genders})
    model = build_model("gmp_tl", spec, None, {"gender_weight": 0.3})
    assert model.gender is None and model.needs == ("emo",) and model.gender_weight == 0.0
    assert "task gender is left out" in caplog.text


def test_decision_is_the_largest_cosine_without_margin(make):
    model = make("gmp_tl", loss_conf={"scale": 10.0, "margin": 0.3}).eval()
    batch = make_batch()
    hidden, lens = model.hidden(batch)
    vectors = model.project(model.pooling(hidden[:, 0], lens))
    cosines = F.cosine_similarity(vectors[:, None], model.emotion.weight[None], dim=2)
    torch.testing.assert_close(model.predict(batch)["emo"], 10.0 * cosines)
    assert isinstance(model.emotion, CosineHead)
    loss, _, _ = model.evaluate(batch)
    shifted = 10.0 * (cosines - 0.3 * F.one_hot(batch.emo, 4))
    torch.testing.assert_close(loss, F.cross_entropy(shifted, batch.emo))


def test_margin_warm_up_is_saved_and_begins_anew(make):
    model = make("gmp_tl", loss_conf={"margin": 0.4, "margin_warmup": 0.5}).train()
    model.initialise([])
    assert float(model.emo_loss.margin_now) == 0.0
    model.after_step(25, 100)  # halfway through the 50 updates of the rise
    assert float(model.emo_loss.margin_now) == pytest.approx(0.2)
    assert "emo_loss.margin_now" in trained_state(model)
    batch = make_batch()
    logits = model.predict(batch)["emo"]
    shifted = logits - 30.0 * 0.2 * F.one_hot(batch.emo, 4)
    torch.testing.assert_close(model(batch)[0], F.cross_entropy(shifted, batch.emo))
    whole = logits - 30.0 * 0.4 * F.one_hot(batch.emo, 4)  # on dev, whatever the warm-up
    torch.testing.assert_close(model.eval().evaluate(batch)[0], F.cross_entropy(whole, batch.emo))
    model.initialise([])
    assert float(model.emo_loss.margin_now) == 0.0
    assert float(make("gmp_tl", loss_conf={"margin": 0.4}).emo_loss.margin_now) == pytest.approx(
        0.4
    )


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"margin": 0.1}, "it is now loss_conf.margin"),
        ({"loss": "am_softmx"}, "did you mean 'am_softmax'"),
        ({"pooling": "men"}, "did you mean 'mean'"),
        ({"gender_weight": 1.0}, "gender_weight: 1.0 is not a number of at least 0 below 1"),
        ({"loss_conf": {"margin": -0.1}}, "margin: -0.1 is not a number of at least 0"),
        ({"loss_conf": {"margin_warmup": 2.0}}, "margin_warmup: 2.0 is not a number from 0 to 1"),
        ({"loss_conf": {"scale": 0.0}}, "scale: 0.0 is not a number above 0"),
    ],
)
def test_wrong_settings_are_refused(conf, message):
    with pytest.raises(SertlError, match=message):
        build_model("gmp_tl", SPEC, None, conf)


def test_bilstm_never_sees_the_padding():
    torch.manual_seed(0)
    lstm = BiLSTM(4, 3)
    feats, lens = torch.randn(2, 7, 4), torch.tensor([3, 7])
    expected = torch.zeros(2, 9, 6)
    expected[0, :3] = lstm(feats[:1, :3], lens[:1])[0]
    expected[1, :7] = lstm(feats[1:], lens[1:])[0]
    for noise in (0.0, 1e4, float("nan")):
        padded = torch.full((2, 9, 4), noise)
        padded[0, :3], padded[1, :7] = feats[0, :3], feats[1]
        torch.testing.assert_close(lstm(padded, lens), expected)
    assert lstm.output_size == 6


def test_bilstm_equals_torchs_on_a_packed_sequence():
    torch.manual_seed(0)
    ours, theirs = BiLSTM(4, 3), nn.LSTM(4, 3, batch_first=True, bidirectional=True)
    back = {f"{name}_reverse": value for name, value in ours.back.state_dict().items()}
    theirs.load_state_dict(ours.ahead.state_dict() | back)
    feats, lens = torch.randn(3, 9, 4), torch.tensor([3, 9, 1])
    packed = pack_padded_sequence(feats, lens, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)
    torch.testing.assert_close(ours(feats, lens), expected)
