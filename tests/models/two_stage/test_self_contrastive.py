# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Self-contrastive loss: by hand, bounds, gradients, what one step does, the printed sign."""

import math
from itertools import combinations

import pytest
import torch
from torch.nn import functional as F

from sertl.models.two_stage.self_contrastive import FORMS, SIGNS, self_contrastive


def features(seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(5, 8, generator=generator) for _ in range(3)]


def distance(xs):
    return sum((a - b).norm(dim=1).mean() for a, b in combinations(xs, 2))


def cosine(xs):
    return sum(F.cosine_similarity(a, b).mean() for a, b in combinations(xs, 2))


def step(form, sign, xs, lr=0.05):
    xs = [x.clone().requires_grad_() for x in xs]
    self_contrastive(xs, form, sign)[0].backward()
    return [(x - lr * x.grad).detach() for x in xs]


@pytest.mark.parametrize(
    ("form", "sign", "expected"),
    [
        # e = (3, 0), g = (0, 4): distance 5, cosine 0, element-wise cos of (3, -4)
        ("norm", "corrected", 5.0),
        ("norm", "printed", -5.0),
        ("cos", "corrected", 0.0),
        ("cos", "printed", -(math.cos(3) + math.cos(4)) / 2),
    ],
)
def test_by_hand(form, sign, expected):
    pair = [torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]])]
    loss, weight = self_contrastive(pair, form, sign)
    assert loss.item() == pytest.approx(expected) and weight.item() == 1


def test_sums_over_pairs_and_averages_over_utterances():
    # norms 1, 1 and 0 in the first utterance, 0 in the second: (2 + 0) / 2
    xs = [torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [2.0]])]
    loss, weight = self_contrastive(xs, "norm")
    assert loss.item() == pytest.approx(1.0, abs=1e-5) and weight.item() == 2
    # equal directions: -1 for each of three pairs
    assert self_contrastive([x + 1 for x in xs], "cos")[0].item() == pytest.approx(-3.0)


def test_corrected_cosine_knows_no_length():
    """However short the features: an eps as long as they are would shrink it."""
    for scale in (1e-3, 1.0, 1e3):
        found = self_contrastive(features(scale=scale), "cos")[0]
        assert found.item() == pytest.approx(-cosine(features()).item(), rel=1e-4)


def test_corrected_cosine_is_bounded():
    for seed in range(20):
        assert -3.0 <= self_contrastive(features(seed), "cos")[0].item() <= 3.0


def test_one_step_brings_features_together_and_the_printed_norm_apart():
    xs = features()
    assert distance(step("norm", "corrected", xs)) < distance(xs)
    assert cosine(step("cos", "corrected", xs)) > cosine(xs)
    assert distance(step("norm", "printed", xs)) > distance(xs)
    near = features(scale=0.1)  # differences below pi are drawn together by -cos too
    assert distance(step("cos", "printed", near)) < distance(near)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_identical_features_have_finite_gradients(form, sign, value):
    xs = [torch.full((2, 4), value, requires_grad=True) for _ in range(3)]
    loss, _ = self_contrastive(xs, form, sign)
    loss.backward()
    assert loss.isfinite() and all(x.grad.isfinite().all() for x in xs)


def test_one_task_alone_and_unknown_names():
    alone = torch.ones(2, 4, requires_grad=True)
    loss, weight = self_contrastive([alone])
    loss.backward()
    assert loss.item() == 0.0 and weight.item() == 2 and not alone.grad.any()
    with pytest.raises(ValueError, match="form 'nrm'"):
        self_contrastive(features(), "nrm")
    with pytest.raises(ValueError, match="sign 'wrong'"):
        self_contrastive(features(), "cos", "wrong")
