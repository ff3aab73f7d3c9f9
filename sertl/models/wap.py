# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""WAP: a Transformer adapter on a frozen upstream, then the probe's pooling and head.

With `init.from` naming a pretraining phase the adapter starts from there; without, at random; and
with `init.freeze: [wap]` it stays as it starts. Method of
Song et al., 2025, arXiv 2509.23795.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from sertl.models.base import MODELS, Spec
from sertl.models.probe import Probe, Task
from sertl.nn.heads import Activation
from sertl.nn.pooling import POOLINGS, pool_views
from sertl.nn.wap_transformer import (
    WapTransformer,
    adapter_input,
    check_continues,
    check_reads,
)
from sertl.registry import check_keys
from sertl.schema.strict import Dropout, Options, Width


@MODELS.register("wap")
class Wap(Probe):
    """Classify (and rate) an utterance from its pooled adapter frames.

    Args:
        spec: See base.Spec. What enters the adapter is the sum of the hidden states, each
            layer-normalised, with learned weights.
        upstream: For input `wav`, else None.
        wap: Arguments of nn.WapTransformer; as in the phase that the adapter comes from.
        bypass: Pooling without parameters of what enters the adapter, each layer by itself; the
            head reads these vectors beside the adapter's. None: the adapter's alone.
        reads: Number of the one hidden state that enters the adapter as it is, instead of the sum.
        pooling, hidden, activation, dropout, standardise, tasks, loss, loss_conf, vad_loss: See
            models.probe.
    """

    @classmethod
    def statistics(cls, model_conf: dict, num_layers: int) -> tuple[str, ...]:
        """None: the adapter reads frames."""
        return ()

    def __init__(
        self,
        spec: Spec,
        upstream: nn.Module | None = None,
        wap: Options | None = None,
        pooling: str = "stat_attentive",
        hidden: Width = 256,
        activation: Activation = "relu",
        dropout: Dropout = 0.3,
        standardise: bool = True,
        tasks: Annotated[Sequence[Task], Field(min_length=1)] = ("emo",),
        loss: str | None = None,
        loss_conf: Options | None = None,
        vad_loss: str | None = None,
        bypass: str | None = None,
        reads: Width | None = None,
    ):
        check_reads(spec, reads)
        check_keys(WapTransformer, wap or {}, 1, "wap")
        blocks = WapTransformer(spec.hidden_size, **(wap or {}))
        around = None if bypass is None else POOLINGS.build(bypass, spec.hidden_size)
        if around is not None and not hasattr(around, "statistics"):
            raise ValueError(f"bypass needs a pooling without parameters, not {bypass}")
        # To the probe, the adapter's frames are the hidden states.
        frames = replace(spec, hidden_size=blocks.output_size)
        head = (pooling, hidden, activation, dropout, standardise)
        beside = 0 if around is None else len(spec.layers) * around.output_size
        super().__init__(frames, upstream, *head, tasks, loss, loss_conf, vad_loss, beside=beside)
        self.spec, self.wap, self.around, self.reads = spec, blocks, around, reads
        if reads is not None:
            self.mix = None

    def start_from_upstream(self, upstream: nn.Module) -> None:
        """Start the adapter from the encoder's last blocks."""
        check_continues(self.wap, self.spec, self.reads, upstream.num_layers)
        self.wap.copy_blocks(upstream.blocks())

    def pool(self, batch) -> torch.Tensor:
        """(B, D') vectors, not standardised."""
        hidden, lens = self.hidden(batch)
        frames = adapter_input(hidden, self.mix, self.spec, self.reads)
        vectors = self.pooling(self.wap(frames, lens), lens)
        if self.around is None:
            return vectors
        return torch.cat([pool_views(self.around, None, hidden, lens).flatten(1), vectors], dim=1)

    @property
    def start_shape(self) -> tuple[int, int]:
        if self.around is None:
            return 1, self.pooling.output_size
        return len(self.spec.layers), self.around.output_size

    def facts(self) -> dict:
        """Weights of the upstream's layers, where there are several, and of the blocks."""
        weights = [round(w, 4) for w in self.wap.mix.weights().tolist()]
        mix = super().facts() if self.reads is None else {}
        return {**mix, "wap_weights": weights}
