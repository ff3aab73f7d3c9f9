# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""One encoder of true size with random weights: parameters, time, memory, error in a batch.

For bench_encoders.py, in a process of its own, as memory is that of the process.
"""

import resource
import time

import torch
import transformers
import worker
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from sertl.upstream.eat import EatModel, EatUpstream
from sertl.upstream.emotion2vec import Emotion2vecModel, Emotion2vecUpstream, Shape
from sertl.upstream.encoder import Upstream
from sertl.upstream.hf import KINDS
from sertl.upstream.side_effects import quiet
from sertl.upstream.whisper import WhisperUpstream

BLINK, LONG, USUAL, CLIPS = 400, 480000, 64000, 4  # samples: 0.025, 30 and 4 s


def build(family: str, shape: dict) -> Upstream:
    """An encoder of a family; shape: arguments of its configuration."""
    if family == "whisper":
        config = WhisperConfig(**shape)
        config._attn_implementation = "sdpa"
        return WhisperUpstream(WhisperEncoder(config))
    if family == "emotion2vec":
        return Emotion2vecUpstream(Emotion2vecModel(Shape(**shape)))
    if family == "eat":
        return EatUpstream(EatModel(**shape))
    kind = KINDS[family]
    config = getattr(transformers, kind.model.replace("Model", "Config"))(**shape)
    if kind.eager:
        config._attn_implementation = "eager"
    with quiet():
        model = getattr(transformers, kind.model)(config)
    return kind.upstream(model, True, "float32", 0.0)


def rss_gib() -> float:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


@torch.no_grad()
def main() -> None:
    args = worker.start(__doc__)
    upstream = build(args["family"], args["shape"])
    weights = rss_gib()
    generator = torch.Generator().manual_seed(0)
    top = [upstream.num_layers - 1]
    wavs = 0.1 * torch.randn(CLIPS, USUAL, generator=generator)
    lens = torch.tensor([USUAL, USUAL - 5000, USUAL - 20000, USUAL - 1])
    upstream(wavs[:1], lens[:1], top)  # what is made once
    begun = time.monotonic()
    upstream(wavs, lens, top)
    per_second = (time.monotonic() - begun) / (float(lens.sum()) / 16000)
    pair = 0.1 * torch.randn(2, LONG, generator=generator)
    batch, frames = upstream(pair, torch.tensor([BLINK, LONG]), top)
    alone, _ = upstream(pair[:1, :BLINK], torch.tensor([BLINK]), top)
    short = batch[0][0, : frames[0]]
    worker.report(
        parameters=round(sum(p.numel() for p in upstream.parameters()) / 1e6, 1),
        shape=f"{upstream.num_layers} × {upstream.hidden_size}, {upstream.stride}",
        ms_per_second=round(1000 * per_second, 1),
        weights_gib=round(weights, 2),
        peak_gib=round(rss_gib(), 2),
        batch_error=float((short - alone[0][0]).norm() / alone[0][0].norm()),
    )


if __name__ == "__main__":
    main()
