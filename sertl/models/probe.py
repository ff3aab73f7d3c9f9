# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Probe: weighted layers, pooling, head. All baselines are settings of it.

With mean pooling and no activation it is SUPERB's emotion head (Yang et al., Interspeech 2021):
there a linear layer on every frame precedes the mean; as both are linear, the layer after the mean
computes the same for a fraction of the cost.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, get_args

import torch
from pydantic import Field
from torch import nn

from sertl.errors import SertlError
from sertl.models.base import MODELS, SERModel, Spec
from sertl.nn.heads import Activation, Head
from sertl.nn.layer_mix import LayerMix
from sertl.nn.linear_start import Standardise
from sertl.nn.losses import CLASS_LOSSES, VALUE_LOSSES
from sertl.nn.pooling import POOLINGS, pool_views
from sertl.schema.strict import Dropout, Options, Width

Task = Literal["emo", "vad"]
TASKS = get_args(Task)
CCC_BATCH = 16  # utterances; a correlation over fewer is mostly noise


@MODELS.register("probe")
class Probe(SERModel):
    """Classify (and rate) an utterance from its pooled hidden states.

    Args:
        spec: See base.Spec.
        upstream: For input `wav`, else None.
        pooling: Name of a pooling (nn/pooling.py).
        combine: mix, the learned weighted sum of the layers, before pooling; or concat, each
            layer's pooled vector beside the others (attention, if any, shared by them).
        hidden: Width of the head's hidden layer; 0 for none.
        activation: Of the hidden layer: none, relu, gelu, tanh.
        dropout: Before the last layer.
        standardise: Give each dimension of the pooled vector zero mean and unit variance over the
            training utterances, as pooled before the first update. Pretrained encoders have a few
            dimensions that dwarf the others; without this the small ones learn slowly and the
            attention overfits.
        tasks: emo, vad (valence, arousal, dominance), or both, their losses added 1 : 1.
        loss: Of emo: name of a loss of classes (nn/losses.py); None for ce.
        loss_conf: Its arguments.
        vad_loss: Of vad: name of a loss of values; None for rmse. ccc needs whole batches of at
            least CCC_BATCH utterances.
        beside: Dimensions of what a subclass's `pool` adds; not for users.
    """

    needs = TASKS

    @classmethod
    def statistics(cls, model_conf: dict, num_layers: int) -> tuple[str, ...]:
        """Those of a pooling without parameters; of one that is not linear, for a single layer."""
        pooling = POOLINGS.get(model_conf.get("pooling", "mean"))
        found = getattr(pooling, "statistics", ())
        alone = num_layers == 1 or model_conf.get("combine", "mix") == "concat"
        return found if pooling.linear or alone else ()

    def __init__(
        self,
        spec: Spec,
        upstream: nn.Module | None = None,
        pooling: str = "mean",
        hidden: Width = 256,
        activation: Activation = "none",
        dropout: Dropout = 0.0,
        standardise: bool = False,
        tasks: Annotated[Sequence[Task], Field(min_length=1)] = ("emo",),
        loss: str | None = None,
        loss_conf: Options | None = None,
        vad_loss: str | None = None,
        combine: Literal["mix", "concat"] = "mix",
        beside: Width = 0,
    ):
        super().__init__(spec, upstream)
        check_tasks(tasks, spec, loss or loss_conf, vad_loss)
        self.needs = tuple(tasks)
        self.vad_loss = VALUE_LOSSES.get(vad_loss or "rmse")
        if "vad" in tasks and vad_loss == "ccc":
            self.least_batch = CCC_BATCH
        self.pooling = POOLINGS.build(pooling, spec.hidden_size)
        size = self.pooling.output_size
        self.mix = LayerMix(len(spec.layers)) if combine == "mix" else None
        size = size * (len(spec.layers) if combine == "concat" else 1) + beside
        self.standardise = standardise
        self.standard = Standardise(size)
        self.emo_loss = CLASS_LOSSES.build(loss or "ce", spec.class_weights, conf=loss_conf)
        last = {"emo": self.emo_loss.last_layer, "vad": nn.Linear}
        sizes = {"emo": len(spec.labels), "vad": 3}
        self.heads = nn.ModuleDict(
            {t: Head(size, sizes[t], hidden, activation, dropout, last[t]) for t in tasks}
        )
        if spec.vad_range is not None:
            low, high = spec.vad_range
            # The head works around 0 with unit slope; the corpus's scale is applied outside it.
            self.vad_middle = (low + high) / 2
            self.vad_half = (high - low) / 2

    def pool(self, batch) -> torch.Tensor:
        """(B, D') vectors, of the mix or of the layers side by side, not standardised."""
        if batch.vectors is not None:
            return batch.vectors.flatten(1) if self.mix is None else self.mix(batch.vectors)
        return pool_views(self.pooling, self.mix, *self.hidden(batch)).flatten(1)

    @property
    def start_shape(self) -> tuple[int, int]:
        return len(self.spec.layers) if self.mix is None else 1, self.pooling.output_size

    def startable(self) -> tuple[str, ...]:
        return self.needs

    def start_solved(self, task: str, mean, std, weight, bias) -> None:
        self.standard.set(mean, std)
        if task == "vad":  # the head works around 0, see above
            weight, bias = weight / self.vad_half, (bias - self.vad_middle) / self.vad_half
        self.heads[task].start(weight.float(), bias.float())

    def initialise(self, batches: Iterable) -> None:
        """Take mean and deviation of the pooled vectors from the training utterances.

        Those that came with `init` are kept: the phase begins with the model that it starts from.

        Raises:
            SertlError: Naming the utterances whose hidden states are not finite.
        """
        super().initialise(batches)
        if not self.standardise or self.standard.known:
            return
        parts = []
        for batch in batches:
            parts.append(self.centred(self.pool_once(batch), batch).double())
            finite = parts[-1].isfinite().all(dim=1)
            broken = [utt for utt, ok in zip(batch.utt, finite.tolist(), strict=True) if not ok]
            if broken:
                raise SertlError(f"hidden states of {' '.join(broken)} are not finite")
        vectors = torch.cat(parts)  # (N, D')
        # A dimension that does not vary carries nothing; the floor keeps it at zero.
        std = vectors.std(dim=0, correction=0).clamp_min(1e-5)
        self.standard.set(vectors.mean(dim=0), std)

    def predict(self, batch) -> dict[str, torch.Tensor]:
        """Return emo (B, C) logits and / or vad (B, 3) in the corpus's scale."""
        pooled = self.standard(self.centred(self.pool_once(batch), batch))
        out = {task: head(pooled) for task, head in self.heads.items()}
        if "vad" in out:
            out["vad"] = self.vad_middle + self.vad_half * out["vad"]
        return out

    def loss(self, outputs: dict[str, torch.Tensor], batch) -> tuple[torch.Tensor, dict]:
        """Sum of the tasks' losses, each a sum over those with the label, over all utterances."""
        losses, count = {}, float(len(batch))
        if "emo" in outputs:
            losses["emo"] = self.emotion_loss(outputs["emo"], batch)
        if "vad" in outputs:
            losses["vad"] = self.vad_loss(outputs["vad"], batch.vad)
        shares = {task: value * (weight / count) for task, (value, weight) in losses.items()}
        stats = {f"loss_{task}": value.detach() for task, value in shares.items()}
        return sum(shares.values()), {**stats, "weight": count}

    def facts(self) -> dict:
        """Weights of the layers, where there are several."""
        if len(self.spec.layers) == 1 or self.mix is None:
            return {}
        return {"layer_weights": [round(w, 4) for w in self.mix.weights().tolist()]}


def check_tasks(
    tasks: Sequence[str], spec: Spec, emo_choice: object = None, vad_choice: object = None
) -> None:
    """Refuse unknown tasks, those without references, and choices for a task that is not there.

    Raises:
        ValueError, SertlError: Naming the task.
    """
    if "vad" in tasks and spec.vad_range is None:
        raise ValueError("task vad needs a corpus with utt2vad and vad_range")
    if emo_choice and "emo" not in tasks:
        raise ValueError(f"loss and loss_conf are for the task emo, which is not among {tasks}")
    if vad_choice and "vad" not in tasks:
        raise ValueError(f"vad_loss is for the task vad, which is not among {tasks}")
