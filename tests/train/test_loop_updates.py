# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What an update does: its learning rate, its gradient, the clipping, what the model is told."""

import copy

import pytest
import torch
from test_loop import MODEL, make

from sertl.train.optim import lr_factor

PLAIN = {**MODEL, "dropout": 0.0, "standardise": False}


def run(trainer):
    """Train; the learning rates and gradients of each update, as the optimiser gets them."""
    rates, gradients = [], []
    step = trainer.updater.optimizer.step

    def spy(*args, **kwargs):
        rates.append([group["lr"] for group in trainer.updater.optimizer.param_groups])
        named = trainer.model.named_parameters()
        gradients.append({n: p.grad.clone() for n, p in named if p.grad is not None})
        return step(*args, **kwargs)

    trainer.updater.optimizer.step = spy
    trainer.run()
    return rates, gradients


def test_learning_rates_follow_the_schedule(tmp_path, phase_conf):
    optim = {"epochs": 4, "lr": 0.1, "schedule": "linear", "warmup": 0.25, "hold": 0.25}
    conf = phase_conf(optim_conf={**optim, "lr_scale": {"mix": 0.5}}, data_conf={"batch_size": 8})
    trainer = make(tmp_path, conf, model_conf=PLAIN)
    rates, _ = run(trainer)
    assert len(rates) == trainer.total > 4
    for update, found in enumerate(rates):
        expected = 0.1 * lr_factor(update, trainer.total, "linear", 0.25, 0.25)
        scales = [group["lr_scale"] for group in trainer.updater.optimizer.param_groups]
        assert found == pytest.approx([expected * scale for scale in scales])
        assert {0.5, 1.0} == set(scales)
    assert max(rates)[0] != rates[-1][0] and rates[0] != rates[1]


@pytest.mark.parametrize("batch_sec", [1e9, 1.0])
def test_the_gradient_is_that_of_the_batches_mean(tmp_path, phase_conf, batch_sec):
    """Whether the batch is cut or not: the sum of the pieces over the sum of their weights."""
    conf = phase_conf(
        optim_conf={"epochs": 1, "grad_clip": 0.0},
        data_conf={"batch_size": 8, "batch_sec": batch_sec},
    )
    trainer = make(tmp_path, conf, model_conf=PLAIN)
    model = copy.deepcopy(trainer.model).train()
    batch = trainer.train_set.batch(trainer._batches(1)[0], 1)
    _, gradients = run(trainer)
    model(batch)[0].backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[0][name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_the_gradient_is_clipped(tmp_path, phase_conf):
    norms = {}
    for limit in (0.0, 1e-3):
        conf = phase_conf(optim_conf={"epochs": 1, "grad_clip": limit})
        _, gradients = run(make(tmp_path / str(limit), conf, model_conf=PLAIN))
        norms[limit] = float(torch.cat([g.flatten() for g in gradients[0].values()]).norm())
    assert norms[0.0] > 0.01 and norms[1e-3] == pytest.approx(1e-3, rel=1e-3)


def test_the_model_is_told_each_update_and_the_number_of_all(tmp_path, phase_conf):
    conf = phase_conf(optim_conf={"epochs": 2}, data_conf={"batch_size": 8})
    trainer = make(tmp_path, conf, model_conf=PLAIN)
    told = []
    trainer.model.after_step = lambda update, total: told.append((update, total))
    run(trainer)
    assert told == [(i, trainer.total) for i in range(1, trainer.total + 1)]
    assert trainer.total == 2 * len(trainer._batches(1)) > 2
