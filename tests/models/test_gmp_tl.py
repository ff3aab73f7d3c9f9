# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""GMP-TL's models: what counts on frames, what S4 takes from S3, tasks, margin."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from sertl.data.dataset import Batch
from sertl.errors import SertlError
from sertl.models.base import Spec, build_model
from sertl.models.frame_labels import fit_labels
from sertl.nn.am_softmax import CosineHead
from sertl.train.checkpoint import init_from, trained_state
from sertl.upstream.s3prl import build_s3prl
from sertl.upstream.tiny import save_hubert

LABELS, SIZE = ["ang", "hap", "neu", "sad"], 32
SPEC = Spec(labels=LABELS, hidden_size=SIZE, layers=[3], clusters=(8, 16))
LENS = [30, 12, 25]  # frames


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "hubert.pt"
    torch.manual_seed(0)
    save_hubert(path)
    return path


@pytest.fixture
def make(ckpt):
    """A function: a model of that name on a tiny HuBERT that trains."""

    def build(name, **model_conf):
        upstream = build_s3prl("hubert_local", ckpt, {})
        upstream.trainable([3])
        torch.manual_seed(1)
        return build_model(name, SPEC, upstream, model_conf)

    return build


def make_batch(extra=0, rows=(0, 1, 2)):
    generator = torch.Generator().manual_seed(3)
    wav = torch.randn(3, 30 * 320, generator=generator) * 0.1
    labels = torch.randint(8, (3, 2, 30), generator=generator)
    for row, n in enumerate(LENS):
        wav[row, n * 320 :] = 0
        labels[row, :, n:] = -1
    rows = list(rows)
    longest = max(LENS[r] for r in rows) + extra
    batch = Batch(utt=[f"u{r}" for r in rows])
    batch.wav = F.pad(wav[rows], (0, 320 * extra), value=7.0)[:, : longest * 320]
    batch.wav_lens = torch.tensor([LENS[r] * 320 for r in rows])
    batch.pseudo = F.pad(labels[rows], (0, extra), value=-1)[:, :, :longest]
    batch.emo = torch.tensor([0, 1, 2])[rows]
    batch.gender = torch.tensor([0, 1, -1])[rows]
    return batch


def test_loss_is_that_of_masked_frames_by_hand(make):
    model = make("frame_labels", mask_prob=0.5, span=4).eval()
    batch = make_batch()
    loss, stats = model(batch)
    lens = torch.tensor(LENS)
    mask = model.draw_mask(batch, lens)
    (hidden,), _ = model.upstream(batch.wav, batch.wav_lens, [3], (mask, model.mask_vector))
    total = 0.0
    for head, own in zip(model.frame_heads.heads, batch.pseudo.unbind(1), strict=True):
        total = total + F.cross_entropy(head(hidden[mask]), own[mask])
    torch.testing.assert_close(loss, total / 2)
    assert stats["weight"].item() == mask.sum() > 0
    assert not (mask & (torch.arange(30) >= lens[:, None])).any()


def test_labels_of_unmasked_and_padded_frames_do_not_matter(make):
    model = make("frame_labels").eval()
    batch = make_batch()
    loss, _ = model(batch)
    mask = model.draw_mask(batch, torch.tensor(LENS))
    valid = batch.pseudo[:, :1] >= 0
    batch.pseudo = torch.where(~mask[:, None] & valid, 7 - batch.pseudo.clamp(0, 7), batch.pseudo)
    assert torch.equal(model(batch)[0], loss)
    batch.pseudo = torch.where(mask[:, None], (batch.pseudo + 1) % 8, batch.pseudo)
    assert not torch.equal(model(batch)[0], loss)


@pytest.mark.parametrize("conf", [{}, {"frames": "all"}, {"frames": "all", "mask_prob": 0.0}])
def test_padding_and_micro_batches_change_nothing(make, conf):
    model = make("frame_labels", **conf).train()
    loss, stats = model(make_batch())
    padded, _ = model(make_batch(extra=9))
    torch.testing.assert_close(padded, loss, rtol=1e-5, atol=1e-6)
    parts = [model(make_batch(rows=rows)) for rows in ([1], [2, 0])]
    weight = sum(s["weight"] for _, s in parts)
    assert weight == stats["weight"]
    pieces = sum(value * s["weight"] for value, s in parts) / weight
    torch.testing.assert_close(pieces, loss, rtol=1e-5, atol=1e-6)


def test_which_frames_count(make):
    every = make("frame_labels", frames="all", mask_prob=0.0).eval()
    assert every(make_batch())[1]["weight"].item() == sum(LENS)
    assert every.mask_vector is None
    masked = make("frame_labels", frames="all", mask_prob=0.5).eval()
    assert masked(make_batch())[1]["weight"].item() == sum(LENS)
    with pytest.raises(SertlError, match="leaves nothing to predict"):
        make("frame_labels", mask_prob=0.0)


def test_masks_follow_update_and_utterance(make):
    model = make("frame_labels").train()
    batch, lens = make_batch(), torch.tensor(LENS)
    first = model.draw_mask(batch, lens)
    assert torch.equal(first, model.draw_mask(batch, lens))
    one = make_batch(rows=[2])
    assert torch.equal(model.draw_mask(one, lens[2:])[0], first[2, :25])
    model.after_step(1, 10)
    assert not torch.equal(first, model.draw_mask(batch, lens))
    model.eval()
    dev = model.draw_mask(batch, lens)
    model.after_step(2, 10)
    assert torch.equal(dev, model.draw_mask(batch, lens))


def test_mask_vector_is_the_encoders_own_and_learns(make):
    model = make("frame_labels")
    assert torch.equal(model.mask_vector, model.upstream.model.mask_emb)
    model.train()
    model(make_batch())[0].backward()
    assert model.mask_vector.grad.abs().sum() > 0
    assert model.upstream.model.mask_emb.grad is None  # the copy learns


@pytest.mark.parametrize("samples", [320, 800, 1121, 16000, 16001, 16319, 16320])
def test_as_many_labels_as_frames(make, samples):
    """A frame count from the dump is the model's, for whole clips and for crops out of them."""
    upstream = make("frame_labels").upstream
    wav = torch.randn(1, samples) * 0.1
    _, frames = upstream(wav, torch.tensor([samples]), [0])
    assert frames.item() == -(-samples // 320)
    labels = torch.arange(frames.item())
    for length in (320, 640, 3200):
        for start in range(0, samples - length + 1, 320):
            crop = wav[:, start : start + length]
            _, found = upstream(crop, torch.tensor([length]), [0])
            first = start // 320
            assert len(labels[first : first + length // 320]) == found.item()


def test_labels_and_frames_may_differ_by_one():
    labels = torch.tensor([[[1, 2, 3, -1]], [[4, 5, 6, 7]], [[8, 9, -1, -1]]])
    found = torch.tensor([2, 5, 2])
    fitted = fit_labels(labels, torch.tensor([3, 4, 2]), found, ["a", "b", "c"])
    assert fitted[:, 0].tolist() == [[1, 2, -1, -1, -1], [4, 5, 6, 7, -1], [8, 9, -1, -1, -1]]
    with pytest.raises(SertlError, match="utterance c has 2 frame labels, but 4 frames"):
        fit_labels(labels, torch.tensor([3, 4, 2]), torch.tensor([2, 5, 4]), ["a", "b", "c"])


def test_frame_labels_need_audio_and_label_sets(make):
    with pytest.raises(SertlError, match="needs the audio: input: wav"):
        build_model("frame_labels", SPEC, None, {})
    bare = Spec(labels=LABELS, hidden_size=SIZE, layers=[3])
    with pytest.raises(SertlError, match="at least one label set"):
        build_model("frame_labels", bare, make("frame_labels").upstream, {})


def test_the_last_step_takes_the_encoder_and_leaves_the_heads(make):
    frames, main = make("frame_labels"), make("gmp_tl", margin_warmup=0.5)
    with torch.no_grad():
        for parameter in frames.parameters():
            parameter.add_(0.01)
    frames.after_step(900, 1000)
    state = trained_state(frames)
    dropped = [n for n in state if not n.startswith("upstream.")]
    counts = init_from(main, state, "frames")
    assert counts["loaded"] == len(state) - len(dropped) and counts["dropped"] == len(dropped)
    assert all(n.startswith(("frame_heads.", "mask_", "updates_done")) for n in dropped)
    for name, tensor in main.upstream.state_dict().items():
        if f"upstream.{name}" in state:
            assert torch.equal(tensor, frames.upstream.state_dict()[name])


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


@pytest.mark.parametrize("genders", [(), (1,)])
def test_data_without_two_genders_drop_the_task_and_say_so(genders, caplog):
    spec = replace(SPEC, genders=genders)
    model = build_model("gmp_tl", spec, None, {"gender_weight": 0.3})
    assert model.gender is None and model.needs == ("emo",) and model.gender_weight == 0.0
    assert "task gender is left out" in caplog.text


def test_decision_is_the_largest_cosine_without_margin(make):
    model = make("gmp_tl", scale=10.0, margin=0.3).eval()
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
    model = make("gmp_tl", margin=0.4, margin_warmup=0.5).train()
    model.initialise([])
    assert float(model.margin_now) == 0.0
    model.after_step(25, 100)  # halfway through the 50 updates of the rise
    assert float(model.margin_now) == pytest.approx(0.2)
    assert "margin_now" in trained_state(model)
    batch = make_batch()
    logits = model.predict(batch)["emo"]
    shifted = logits - 30.0 * 0.2 * F.one_hot(batch.emo, 4)
    torch.testing.assert_close(model(batch)[0], F.cross_entropy(shifted, batch.emo))
    model.initialise([])
    assert float(model.margin_now) == 0.0
    assert float(make("gmp_tl", margin=0.4).margin_now) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"loss": "am_softmx"}, "did you mean 'am_softmax'"),
        ({"pooling": "men"}, "did you mean 'mean'"),
        ({"gender_weight": 1.0}, r"gender_weight must be in \[0, 1\), got 1.0"),
        ({"margin": -0.1}, "margin of a cosine"),
        ({"margin_warmup": 2.0}, "margin_warmup must be in"),
        ({"scale": 0.0}, "scale must be above 0"),
    ],
)
def test_wrong_settings_are_refused(conf, message):
    with pytest.raises(SertlError, match=message):
        build_model("gmp_tl", SPEC, None, conf)
