# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A compiled encoder gives the hidden states of the encoder as it was; what cannot be compiled."""

import shutil

import pytest
import torch
from awkward_clips import CONF_DIR, build, relative

from sertl.errors import SertlError
from sertl.upstream import compiled
from sertl.upstream.build import build_upstream, load_conf
from sertl.upstream.compiled import compile_encoder
from sertl.upstream.tiny import save_emotion2vec

# One of each way to compute. Not the Conformers: hooks, and buffers that grow, fit into no graph.
FILES = (
    "hubert_base.pt",
    "data2vec_large.pt",
    "wavlm_base.pt",
    "hf_hubert_base",
    "hf_wavlm_large",
    "hf_sew_base",
    "whisper",
)


def close(found, expected):
    assert torch.equal(found[1], expected[1])
    return all(relative(a, b) < 1e-5 for a, b in zip(found[0], expected[0], strict=True))


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.setattr(compiled, "BATCHES", ())  # to warm up with, half a minute
    torch.compiler.reset()  # of the graphs of other tests, which count against a limit
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("file", FILES)
def test_graphs_hold_every_kind(file, tiny, clips, fresh):
    """Graphs that run as PyTorch does, to save the time of a compiler."""
    plain, upstream = build(tiny, file), build(tiny, file)
    compile_encoder(upstream, [3], backend="eager")
    with torch.no_grad():
        assert close(upstream(*clips), plain(*clips))


def test_graphs_hold_emotion2vec(tmp_path, clips, fresh):
    torch.manual_seed(0)
    save_emotion2vec(tmp_path)
    shape = {"num_layers": 4, "hidden_size": 32, "backend": "emotion2vec"}
    conf = {**load_conf("tiny_hubert", CONF_DIR), **shape, "ckpt": str(tmp_path)}
    plain, upstream = build_upstream(conf), build_upstream(conf)
    compile_encoder(upstream, [3], backend="eager")
    with torch.no_grad():
        assert close(upstream(*clips), plain(*clips))


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_what_the_compiler_makes_is_the_same(tiny, clips, fresh):
    plain, upstream = (build(tiny, "hubert_base.pt") for _ in range(2))
    upstream.compilable = ("run_blocks",)  # of one block: seconds instead of a minute
    compile_encoder(upstream, [1])
    with torch.no_grad():
        for row in (0, 1):  # of two lengths
            alone = clips[0][row : row + 1, :16000], clips[1][row : row + 1].clamp(max=16000 - row)
            assert close(upstream(*alone, [1]), plain(*alone, [1]))


def test_what_is_refused(tiny, monkeypatch):
    with pytest.raises(SertlError, match="HFBert.* cannot be compiled"):
        compile_encoder(build(tiny, "hf_wav2vec2-bert_base"), [3])
    with pytest.raises(SertlError, match="for the CPU"):
        compile_encoder(build(tiny, "hubert_base.pt"), [3], "cuda:0")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(SertlError, match="needs a C\\+\\+ compiler, and there is no no-such-comp"):
        compile_encoder(build(tiny, "hubert_base.pt"), [3])
