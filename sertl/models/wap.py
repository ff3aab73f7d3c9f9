# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""WAP: a Transformer adapter on a frozen upstream, then the probe's pooling and head.

With `init` naming a pretraining phase the adapter starts from there; without, at random. Method of
Song et al., 2025, arXiv 2509.23795.
"""

from dataclasses import replace

import torch
from torch import nn

from sertl.models.base import Spec
from sertl.models.probe import Model as Probe
from sertl.nn.wap_transformer import WapTransformer


class Model(Probe):
    """Classify (and rate) an utterance from its pooled adapter frames.

    Args:
        spec: See base.Spec. Several hidden states are summed with learned weights first.
        upstream: For input `wav`, else None.
        adapter: Arguments of nn.WapTransformer; as in the phase that the adapter comes from.
        tune_adapter: False keeps the adapter as it starts.
        pooling, hidden, activation, dropout, standardise, tasks, vad_loss: See models.probe.
    """

    def __init__(
        self,
        spec: Spec,
        upstream: nn.Module | None = None,
        adapter: dict | None = None,
        tune_adapter: bool = True,
        pooling: str = "stat_attentive",
        hidden: int = 256,
        activation: str = "relu",
        dropout: float = 0.3,
        standardise: bool = True,
        tasks: tuple[str, ...] = ("emo",),
        vad_loss: str = "rmse",
    ):
        blocks = WapTransformer(spec.hidden_size, **(adapter or {}))
        # To the probe, the adapter's frames are the hidden states.
        frames = replace(spec, hidden_size=blocks.output_size)
        super().__init__(
            frames, upstream, pooling, hidden, activation, dropout, standardise, tasks, vad_loss
        )
        self.adapter = blocks
        self.tune_adapter = tune_adapter
        self.adapter.requires_grad_(tune_adapter)

    def train(self, mode: bool = True) -> "Model":
        """A frozen adapter stays in evaluation mode: no dropout."""
        super().train(mode)
        if not self.tune_adapter:
            self.adapter.eval()
        return self

    def start_from_upstream(self, upstream: nn.Module) -> None:
        """Start the adapter from the encoder's last blocks."""
        self.adapter.copy_blocks(upstream.blocks())

    def pool(self, batch) -> torch.Tensor:
        """(B, D') vectors, not standardised."""
        hidden, lens = self.hidden(batch)
        return self.pooling(self.adapter(self.mix(hidden), lens), lens)

    def insight(self) -> dict:
        """Weights of the upstream's layers, where there are several, and of the blocks."""
        weights = [round(w, 4) for w in self.adapter.mix.weights().tolist()]
        return {**super().insight(), "adapter_weights": weights}
