# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What the tests of injected upstreams share beside fixtures."""

import copy
from functools import cache

import torch
from awkward_clips import build_named
from torch import nn

from sertl.peft.slots import peft_of

FAMILIES = {
    "hubert_base.pt": "hubert_local",
    "hubert_large.pt": "hubert_local",
    "wav2vec2_base.pt": "wav2vec2_local",
    "wav2vec2_large.pt": "wav2vec2_local",
    "data2vec_large.pt": "data2vec_local",
    "wavlm_base.pt": "wavlm_local",
    "wavlm_large.pt": "wavlm_local",
    "hf_hubert_base": "hf_hubert_custom",
    "hf_hubert_large": "hf_hubert_custom",
    "hf_wav2vec2_base": "hf_wav2vec2_custom",
    "hf_wav2vec2_large": "hf_wav2vec2_custom",
    "whisper": None,
}
MORE = {
    "hf_wavlm_large": "hf_wavlm_custom",
    "hf_data2vec-audio_base": "hf_data2vec-audio_custom",
    "hf_sew_base": "hf_sew_custom",
    "hf_wav2vec2-conformer_base": "hf_wav2vec2-conformer_custom",
    "hf_wav2vec2-conformer_large": "hf_wav2vec2-conformer_custom",
    "hf_wav2vec2-bert_base": "hf_wav2vec2-bert_custom",
    "emotion2vec": "tiny_emotion2vec",
    "eat": "tiny_eat",
}  # fewer of their combinations are tested
FAMILIES |= MORE
LORA = {"rank": 4, "alpha": 4, "targets": ["q", "k", "v", "out", "ffn"]}
PARTS = {
    "adapter": {"adapter": {"width": 8}},
    "adapter_ffn": {"adapter": {"width": 8, "place": "ffn"}},
    "adapter_normed": {"adapter": {"width": 8, "norm": "layer"}},
    "lora": {"lora": LORA},
    "dora": {"lora": {**LORA, "dora": True, "rank": {"q": 2, "k": 2, "v": 4, "out": 4, "ffn": 3}}},
    "gate": {"gate": {}},
    "gate_ones": {"gate": {"init": "ones"}},
    "prefix": {"prefix": {"length": 3}},
    "prefix_plain": {"prefix": {"length": 3, "zero": False}},
    "ia3": {"ia3": {}},
    "everything": {
        **{"gate": {}, "adapter": {"width": 8}, "prefix": {"length": 2}, "ia3": {}},
        "lora": LORA,
    },
}


class Model(nn.Module):
    """What a checkpoint is made of."""

    def __init__(self, upstream):
        super().__init__()
        self.upstream = upstream


@cache
def _built(tiny, file):
    upstream = build_named(FAMILIES[file], tiny / file)
    upstream(torch.zeros(1, 800), torch.tensor([800]))  # S3PRL's weight norm is then a plain tensor
    return upstream


def fresh(tiny, file):
    """A frozen upstream of its own."""
    return copy.deepcopy(_built(tiny, file))


def own(upstream):
    """Name -> tensor of what the encoder came with."""
    return {n: p for n, p in upstream.named_parameters() if not peft_of(n)}


def parts(upstream):
    """Name -> tensor of what was put in."""
    return {n: p for n, p in upstream.named_parameters() if peft_of(n)}


@torch.no_grad()
def set_off(upstream, seed=3, scale=0.1):
    """Move every injected tensor away from its start; returns the upstream."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in parts(upstream).values():
        parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return upstream


def states(upstream, clips, layers=None):
    """Hidden states without gradient."""
    with torch.no_grad():
        return upstream(*clips, layers=layers)[0]
