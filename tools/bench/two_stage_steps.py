# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Some training steps of one phase of two_stage, timed in a process of its own.

For bench_two_stage_memory.py: the real model and optimiser on an encoder with XLS-R's layers
and random weights, made in memory, and noise; neither speed nor memory depends on what they hold.
"""

import torch
import worker
from machine import CONF_DIR
from transformers import Wav2Vec2Config, Wav2Vec2Model

from sertl.config import load_method
from sertl.data.batch import Batch
from sertl.models.base import MODELS, Spec
from sertl.peft.tuning import trained_by_group, tune
from sertl.train.optim import build_optimizer
from sertl.upstream.hf_models import HFUpstream

RATE, LABELS, VOCAB = 16000, list("abcd"), 32


def build_encoder(blocks: int, size: int) -> HFUpstream:
    """XLS-R 300M has 24 blocks of size 1024."""
    config = Wav2Vec2Config(
        hidden_size=size,
        num_hidden_layers=blocks,
        num_attention_heads=max(1, size // 64),
        intermediate_size=4 * size,
        feat_extract_norm="layer",
        conv_bias=True,
        do_stable_layer_norm=True,
    )
    return HFUpstream(Wav2Vec2Model(config), True, "float32", 0.0)


def make_batch(size: int, seconds: float, device: torch.device) -> Batch:
    """Noise with every label."""
    labels = torch.arange(size) % 2
    tokens = torch.arange(1, 1 + int(10 * seconds)) % (VOCAB - 1) + 1  # ten characters a second
    every = dict.fromkeys(("emo", "gender", "style"), labels)
    batch = Batch(utt=[f"u{i}" for i in range(size)], labels=every)
    batch.wav = 0.1 * torch.randn(size, int(seconds * RATE))
    batch.wav_lens = torch.full((size,), batch.wav.shape[1])
    batch.tokens = tokens.repeat(size, 1)
    batch.token_lens = torch.full((size,), len(tokens))
    return batch.to(device)


def main() -> None:
    args = worker.start(__doc__)
    device = worker.device()
    phase = load_method(CONF_DIR, "two_stage")["phases"][args["phase"] - 1]
    upstream = build_encoder(args["blocks"], args["size"])
    conf = {**phase["upstream_conf"], "grad_checkpoint": args["grad_checkpoint"]}
    layers = [args["blocks"]]
    tune(upstream, conf, layers)
    classes = {"gender": ("f", "m"), "style": ("acted", "natural")}
    spec = Spec(LABELS, args["size"], layers, vocab_size=VOCAB, classes=classes)
    model = MODELS.build(phase["model"], spec, upstream, conf=phase["model_conf"])
    model = model.to(device).train()
    optimizer = build_optimizer(model, phase["optim_conf"])
    batch = make_batch(args["micro_batch"], args["seconds"], device)
    pieces = args["batch"] // args["micro_batch"]
    seconds = worker.time_updates(lambda: model(batch)[0], optimizer, args["steps"], pieces)
    trained = sum(trained_by_group(model).values())
    worker.report(sec=seconds, peak_gib=worker.peak(), device=device.type, trained=trained)


if __name__ == "__main__":
    main()
