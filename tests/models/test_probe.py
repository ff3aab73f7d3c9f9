# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The probe: parameter counts of the literature, and the shortcut it takes."""

import pytest
import torch
from fakes import LABELS, FakeVectors, build_model, fake_dataset
from torch.nn import functional as F

from sertl.data.batch import Batch
from sertl.errors import SertlError
from sertl.models.base import MODELS, Spec
from sertl.models.probe import Probe
from sertl.nn.losses import VALUE_LOSSES


@pytest.mark.parametrize(("size", "layers", "head"), [(768, 13, 197_892), (1024, 25, 263_428)])
def test_parameter_counts(size, layers, head):
    """(D * 256 + 256) + (256 * 4 + 4), and one weight a layer."""
    model = Probe(Spec(labels=list("abcd"), hidden_size=size, layers=list(range(layers))))
    assert sum(p.numel() for p in model.heads.parameters()) == head
    assert model.mix.scores.numel() == layers


def test_linear_after_the_mean_equals_linear_before_it():
    """SUPERB's order (a linear layer on every frame, then the mean) gives the same logits."""
    torch.manual_seed(0)
    model = Probe(Spec(labels=list("abcd"), hidden_size=6, layers=[0, 1])).double()
    feats, lens = torch.randn(2, 2, 7, 6).double(), torch.tensor([7, 4])
    first, last = model.heads["emo"].layers[0], model.heads["emo"].layers[-1]
    frames = first(model.mix(feats))  # (B, T, 256)
    expected = torch.stack([last(f[:n].mean(0)) for f, n in zip(frames, lens, strict=True)])
    got = model.predict(Batch(utt=["a", "b"], feats=feats, lens=lens))["emo"]
    torch.testing.assert_close(got, expected)


def test_vad_is_in_the_corpus_scale():
    model = Probe(
        Spec(labels=list("ab"), hidden_size=3, layers=[0], vad_range=(1.0, 5.0)), tasks=["vad"]
    )
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.zero_()
    batch = Batch(utt=["a"], feats=torch.zeros(1, 1, 2, 3), lens=torch.tensor([2]))
    assert model.predict(batch)["vad"].tolist() == [[3.0, 3.0, 3.0]]


def test_a_task_keeps_its_loss_whatever_labels_the_other_lacks():
    """Utterances without an emotion teach V/A/D, also when they are alone in a micro-batch."""
    spec = Spec(labels=["a", "b"], hidden_size=3, layers=[0], vad_range=(1.0, 5.0))
    model = build_model("probe", spec, None, {"tasks": ["emo", "vad"], "hidden": 0})
    batch = Batch(utt=["x", "y"])
    batch.feats, batch.lens = torch.randn(2, 1, 4, 3), torch.tensor([4, 4])
    batch.labels["emo"], batch.vad = (
        torch.tensor([-1, -1]),
        torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 1.0]]),
    )
    loss, stats = model(batch)
    assert loss.item() == stats["loss_vad"].item() > 0 and stats["weight"] == 2
    batch.labels["emo"] = torch.tensor([1, -1])
    _, stats = model(batch)
    expected = F.cross_entropy(model.predict(batch)["emo"][:1], batch.emo[:1]) / 2
    torch.testing.assert_close(stats["loss_emo"], expected.detach())


def test_standardise_uses_the_training_utterances():
    """Pooled vectors of the training data get mean 0 and deviation 1; a constant dimension 0."""
    torch.manual_seed(0)
    model = Probe(Spec(labels=list("ab"), hidden_size=3, layers=[0]), standardise=True)
    feats = torch.randn(6, 1, 4, 3) * torch.tensor([1.0, 100.0, 0.0]) + 5
    batches = [
        Batch(utt=[str(i)] * 3, feats=feats[i : i + 3], lens=torch.tensor([4, 2, 3]))
        for i in (0, 3)
    ]
    model.initialise(iter(batches))
    pooled = torch.cat([model.standard(model.pool(b)) for b in batches])
    torch.testing.assert_close(pooled.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        pooled.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-4, rtol=0
    )
    assert "standard.std" in model.state_dict()  # decoding reads it from the checkpoint
    # and predicts from the standardised vectors
    expected = [model.heads["emo"]((model.pool(b) - 5.0) / 3.0) for b in batches]
    model.standard.mean.fill_(5.0)
    model.standard.std.fill_(3.0)
    for batch, logits in zip(batches, expected, strict=True):
        torch.testing.assert_close(model.predict(batch)["emo"], logits)


def test_class_weights_reach_the_loss():
    spec = Spec(labels=["a", "b"], hidden_size=3, layers=[0], class_weights=[1.0, 3.0])
    model = build_model("probe", spec, None, {"hidden": 0})
    batch = Batch(utt=["x", "y", "z"], feats=torch.randn(3, 1, 4, 3), lens=torch.tensor([4, 4, 2]))
    batch.labels["emo"] = torch.tensor([0, 1, 1])
    logits = model.predict(batch)["emo"]
    summed = F.cross_entropy(logits, batch.emo, torch.tensor([1.0, 3.0]), reduction="sum")
    torch.testing.assert_close(model(batch)[0], summed / 3)


@pytest.mark.parametrize(
    ("pooling", "layers", "statistics"),
    [("mean", 3, ("mean",)), ("mean", 1, ("mean",)), ("stat", 1, ("mean", "std"))],
)
def test_vectors_pooled_once_give_what_frames_give(pooling, layers, statistics):
    conf = {"pooling": pooling, "standardise": True}
    assert Probe.statistics(conf, layers) == statistics
    frames = fake_dataset(20, layers)
    vectors = fake_dataset(20, layers, kind=FakeVectors, statistics=statistics)
    models = []
    for data in (frames, vectors):
        torch.manual_seed(0)
        model = Probe(Spec(labels=LABELS, hidden_size=6, layers=list(range(layers))), **conf)
        model.initialise([data.batch(range(20))])
        models.append(model.predict(data.batch([3, 8, 1]))["emo"])
    torch.testing.assert_close(models[1], models[0], rtol=1e-4, atol=1e-5)


def test_poolings_with_parameters_or_of_mixed_layers_need_frames():
    for pooling, layers in (("stat", 2), ("stat_attentive", 1), ("self_attentive", 3)):
        assert Probe.statistics({"pooling": pooling}, layers) == ()
    assert MODELS.get("wap").statistics({}, 1) == ()


def test_a_loss_of_values_that_is_registered_can_be_named(monkeypatch):
    """The schema keeps no list of what a registry holds: a new loss is a new file."""
    monkeypatch.setitem(VALUE_LOSSES._things, "mine", VALUE_LOSSES.get("rmse"))
    spec = Spec(labels=LABELS, hidden_size=6, layers=[0], vad_range=(1.0, 5.0))
    assert build_model("probe", spec, None, {"tasks": ["vad"], "vad_loss": "mine"})
    with pytest.raises(SertlError, match="did you mean 'mine'"):
        build_model("probe", spec, None, {"tasks": ["vad"], "vad_loss": "mien"})
