# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Plain and fused attention: which is chosen, and that states and gradients are the same."""

import pytest
import torch

from sertl.upstream import attention
from sertl.upstream.tiny import save_whisper
from sertl.upstream.whisper import WhisperUpstream, load_encoder


@pytest.fixture
def upstream(tmp_path):
    torch.manual_seed(0)
    save_whisper(tmp_path)
    upstream = WhisperUpstream(load_encoder(tmp_path))
    upstream.trainable([1, 2])
    return upstream


def encode(upstream, wav, lens):
    (last,), frames = upstream(wav, lens, [upstream.num_layers - 1])
    return last, frames, upstream.encoder.config._attn_implementation


def test_both_give_the_same_states_and_gradients(upstream, monkeypatch):
    wav, lens = torch.randn(2, 9600) * 0.1, torch.tensor([9600, 4000])
    found = {}
    for longest, name in ((300, "eager"), (10, "sdpa")):
        monkeypatch.setattr(attention, "LONGEST", longest)
        last, frames, chosen = encode(upstream, wav, lens)
        assert chosen == name
        upstream.zero_grad()
        sum(row[:n].square().sum() for row, n in zip(last, frames, strict=True)).backward()
        grads = [p.grad.clone() for p in upstream.parameters() if p.grad is not None]
        found[name] = [last.detach()[0], last.detach()[1, : frames[1]], *grads]
    for a, b in zip(found["eager"], found["sdpa"], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_without_a_gradient_it_is_fused(upstream):
    with torch.no_grad():
        assert encode(upstream, torch.randn(1, 4000), torch.tensor([4000]))[2] == "sdpa"
