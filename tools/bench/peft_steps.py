# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Some training steps with one way of tuning an encoder, timed in a process of its own.

For bench_peft.py: Hugging Face's HuBERT with random weights, made in memory; noise for speech. The
rows of sertl run the encoder as the recipes do, that of the peft library as its users call it.
All have the same head on the last layer, the same batch and the same optimiser.
"""

import io

import torch
import worker
from torch import nn
from transformers import HubertConfig, HubertModel

from sertl.peft.tuning import tune
from sertl.upstream.hf_models import HFUpstream

RATE, CLASSES = 16000, 4
LORA = {"rank": 8, "alpha": 8, "targets": ["q", "k", "v"]}
ADAPTER = {"width": 64, "place": "block"}
MODULES = {
    "full": {},
    "frozen": {},
    "lora": {"lora": LORA},
    "lora, cached": {
        "lora": LORA
    },  # convolutions and positions run once, upstream_conf.from_layer=0
    "adapter": {"adapter": ADAPTER},
    "all together": {"adapter": ADAPTER, "lora": LORA, "gate": {}},
}


def hubert(blocks: int, size: int) -> HubertModel:
    """The defaults are HuBERT-base's; no dropout, and no layer drop, which would skip work."""
    return HubertModel(
        HubertConfig(
            hidden_size=size,
            num_hidden_layers=blocks,
            num_attention_heads=max(1, size // 64),
            intermediate_size=4 * size,
            hidden_dropout=0.0,
            attention_dropout=0.0,
            activation_dropout=0.0,
            feat_proj_dropout=0.0,
            layerdrop=0.0,
            apply_spec_augment=False,
        )
    )


class Sertl(nn.Module):
    """The encoder as in a recipe, tuned as upstream_conf says."""

    def __init__(self, encoder: HubertModel, row: str, recompute: bool):
        super().__init__()
        self.encoder = HFUpstream(encoder, True, "float32", 0.0)
        conf = {"tune": "all" if row == "full" else "none", "peft": MODULES[row]}
        conf |= {"grad_checkpoint": recompute, "from_layer": 0 if "cached" in row else None}
        self.top, self.cached, self.states = self.encoder.num_layers - 1, "cached" in row, None
        tune(self.encoder, conf, [self.top])

    def forward(self, wavs: torch.Tensor) -> torch.Tensor:
        lens = torch.full((len(wavs),), wavs.shape[1], device=wavs.device)
        if not self.cached:
            return self.encoder(wavs, lens, [self.top])[0][0]
        if self.states is None:
            with torch.no_grad():
                (first,), frames = self.encoder(wavs, lens, [0])
            self.states = first, frames
        return self.encoder.resume(*self.states, lens.tolist(), 0, [self.top])[0][0]


class Peft(nn.Module):
    """LoRA by the peft library, in transformers' own forward pass."""

    def __init__(self, encoder: HubertModel, recompute: bool):
        super().__init__()
        from peft import LoraConfig, get_peft_model

        if recompute:
            encoder.gradient_checkpointing_enable({"use_reentrant": False})
        # Else the front end, frozen, would keep its activations for a gradient that nobody needs.
        encoder.feature_extractor._freeze_parameters()
        targets = ["q_proj", "k_proj", "v_proj"]
        conf = LoraConfig(r=LORA["rank"], lora_alpha=LORA["alpha"], target_modules=targets)
        self.encoder = get_peft_model(encoder, conf)

    def forward(self, wavs: torch.Tensor) -> torch.Tensor:
        return self.encoder(wavs).last_hidden_state


def main() -> None:
    args = worker.start(__doc__)
    device = worker.device()
    base = hubert(args["blocks"], args["size"])
    if args["row"] == "lora, peft":
        encoder = Peft(base, args["grad_checkpoint"])
    else:
        encoder = Sertl(base, args["row"], args["grad_checkpoint"])
    head = nn.Linear(args["size"], CLASSES)
    model = nn.ModuleList([encoder, head]).to(device).train()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-5)
    wavs = 0.1 * torch.randn(args["micro_batch"], int(args["seconds"] * RATE), device=device)
    labels = torch.arange(len(wavs), device=device) % CLASSES

    def loss() -> torch.Tensor:
        logits = head(encoder(wavs).mean(dim=1))  # equal lengths: there is no padding
        return nn.functional.cross_entropy(logits, labels)

    pieces = args["batch"] // args["micro_batch"]
    seconds = worker.time_updates(loss, optimizer, args["steps"], pieces, args["bf16"])
    saved = io.BytesIO()
    torch.save({name: p.detach() for name, p in trained.items()}, saved)
    worker.report(
        sec=seconds,
        peak_gib=worker.peak(),
        device=device.type,
        trained=sum(p.numel() for p in trained.values()),
        saved_mib=saved.tell() / 2**20,
    )


if __name__ == "__main__":
    main()
