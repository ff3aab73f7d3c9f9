# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Some updates of an encoder's top blocks, timed in a process: for bench_from_layer.py."""

import torch
import worker
from peft_steps import CLASSES, RATE, hubert
from torch import nn
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from sertl.peft.tuning import tune
from sertl.upstream.encoder import Upstream
from sertl.upstream.hf_models import HFUpstream
from sertl.upstream.whisper import WhisperUpstream


def build(encoder: str, blocks: int, size: int) -> Upstream:
    """An encoder of these sizes with random weights."""
    if encoder.startswith("hubert"):
        return HFUpstream(hubert(blocks, size), True, "float32", 0.0)
    config = WhisperConfig(
        d_model=size,
        encoder_layers=blocks,
        encoder_attention_heads=size // 64,
        encoder_ffn_dim=4 * size,
    )
    config._attn_implementation = "sdpa"
    return WhisperUpstream(WhisperEncoder(config))


def main() -> None:
    args = worker.start(__doc__)
    device = worker.device()
    upstream = build(args["encoder"], args["blocks"], args["size"]).to(device)
    top, first = args["blocks"], args["blocks"] - args["tuned"]
    dumped = args["kind"] == "from the state"
    layers = list(range(top + 1)) if args["all_states"] else [top]
    conf = {"tune": "last", "last_blocks": args["tuned"], "peft": {}, "grad_checkpoint": False}
    tune(upstream, {**conf, "from_layer": first if dumped else None}, layers)
    head = nn.Linear(args["size"], CLASSES).to(device)
    trained = [p for m in (upstream, head) for p in m.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)
    wavs = 0.1 * torch.randn(args["micro_batch"], int(args["seconds"] * RATE), device=device)
    lens = torch.full((len(wavs),), wavs.shape[1], device=device)
    labels = torch.arange(len(wavs), device=device) % CLASSES
    with torch.no_grad():
        below, frames = upstream(wavs, lens, list(range(first + 1)))

    def states() -> list[torch.Tensor]:
        if not dumped:
            return upstream(wavs, lens, layers)[0]
        above = [n for n in layers if n > first]
        found = upstream.resume(below[first], frames, lens.tolist(), first, above)[0]
        return [below[n] for n in layers if n <= first] + found

    def loss() -> torch.Tensor:
        pooled = torch.stack([state.mean(dim=1) for state in states()]).mean(dim=0)
        return nn.functional.cross_entropy(head(pooled), labels)

    pieces = args["batch"] // args["micro_batch"]
    seconds = worker.time_updates(loss, optimizer, args["steps"], pieces, args["bf16"])
    worker.report(
        sec=seconds,
        peak_gib=worker.peak(),
        device=device.type,
        trained=sum(p.numel() for p in trained),
        saved_mib=0.0,
    )


if __name__ == "__main__":
    main()
