# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""GMP-TL's utterance classifier: [BiLSTM], pooling, projection, emotion and gender heads.

With BiLSTM, gender and cross-entropy it is the multi-task teacher, whose frames are clustered; with
AM-Softmax, the last step, which starts from models/frame_labels.py. Pan et al., "GMP-TL", SLT 2024,
arXiv 2405.02151; what the paper leaves open is our choice and can be set.
"""

import logging
from collections.abc import Iterable

import torch
from torch import nn

from sertl.errors import unknown_name
from sertl.models.base import SERModel, Spec
from sertl.nn.am_softmax import CosineHead, am_softmax, margin_at
from sertl.nn.bilstm import BiLSTM
from sertl.nn.layer_mix import LayerMix
from sertl.nn.losses import cross_entropy
from sertl.nn.pooling import POOLINGS

logger = logging.getLogger(__name__)

LOSSES = ("ce", "am_softmax")


class Model(SERModel):
    """Loss: (1 - gender_weight) * emotion + gender_weight * gender.

    Each is a sum over the utterances that have the label, divided by all utterances, so that an
    utterance has the same say whatever labels others in its batch lack.

    Args:
        spec: See base.Spec. Several hidden states are summed with learned weights.
        upstream: For input `wav`, else None.
        bilstm: Units per direction of a BiLSTM over the frames; 0 for none.
        pooling: A name in nn.pooling.POOLINGS.
        projection: Width of the linear layer after the pooling.
        gender_weight: gamma, in [0, 1); 0 leaves the gender head out, as do data without
            genders or with one only.
        loss: Of emotion: ce or am_softmax.
        scale: s of AM-Softmax; its decision is the largest cosine, without margin.
        margin: m of AM-Softmax.
        margin_warmup: Share of all updates over which the margin rises from 0.
    """

    needs = ("emo", "gender")

    def __init__(
        self,
        spec: Spec,
        upstream: nn.Module | None = None,
        bilstm: int = 0,
        pooling: str = "mean",
        projection: int = 256,
        gender_weight: float = 0.0,
        loss: str = "am_softmax",
        scale: float = 30.0,
        margin: float = 0.2,
        margin_warmup: float = 0.0,
    ):
        super().__init__(spec, upstream)
        if pooling not in POOLINGS:
            raise unknown_name("pooling", pooling, POOLINGS)
        if loss not in LOSSES:
            raise unknown_name("loss", loss, LOSSES)
        if not 0.0 <= gender_weight < 1.0:
            raise ValueError(f"gender_weight must be in [0, 1), got {gender_weight}")
        if not 0.0 <= margin <= 2.0:
            raise ValueError(f"margin of a cosine must be in [0, 2], got {margin}")
        if not 0.0 <= margin_warmup <= 1.0:
            raise ValueError(f"margin_warmup must be in [0, 1], got {margin_warmup}")
        if gender_weight and len(spec.genders) < 2:
            logger.warning("task gender is left out: the training data have no two genders")
            gender_weight = 0.0
        self.needs = ("emo", "gender") if gender_weight else ("emo",)
        self.gender_weight, self.margin, self.margin_warmup = gender_weight, margin, margin_warmup
        self.mix = LayerMix(len(spec.layers))
        self.bilstm = BiLSTM(spec.hidden_size, bilstm) if bilstm else None
        self.pooling = POOLINGS[pooling](self.bilstm.output_size if bilstm else spec.hidden_size)
        self.project = nn.Linear(self.pooling.output_size, projection)
        classes = len(spec.labels)
        if loss == "am_softmax":
            self.emotion = CosineHead(projection, classes, scale)
        else:
            self.emotion = nn.Linear(projection, classes)
        self.gender = nn.Linear(projection, 2) if gender_weight else None
        weights = None if spec.class_weights is None else torch.tensor(spec.class_weights)
        self.register_buffer("class_weights", weights, persistent=False)
        self.register_buffer("margin_now", torch.tensor(0.0 if margin_warmup else margin))

    def predict(self, batch) -> dict[str, torch.Tensor]:
        """Return emo (B, C) logits (AM-Softmax: scaled cosines) and, if it is a task, gender."""
        hidden, lens = self.hidden(batch)
        frames = self.mix(hidden)  # (B, T, D)
        if self.bilstm is not None:
            frames = self.bilstm(frames, lens)
        vectors = self.project(self.pooling(frames, lens))  # (B, projection)
        out = {"emo": self.emotion(vectors)}
        if self.gender is not None:
            out["gender"] = self.gender(vectors)
        return out

    def loss(self, outputs: dict[str, torch.Tensor], batch) -> tuple[torch.Tensor, dict]:
        """Loss and stats; on dev the margin is the final one, whatever the warm-up."""
        if isinstance(self.emotion, CosineHead):
            margin = float(self.margin_now) if self.training else self.margin
            emotion, weight = am_softmax(
                outputs["emo"], batch.emo, margin, self.emotion.scale, self.class_weights
            )
        else:
            emotion, weight = cross_entropy(outputs["emo"], batch.emo, self.class_weights)
        count = float(len(batch))
        emotion = emotion * (weight / count)
        loss = (1.0 - self.gender_weight) * emotion
        stats = {"weight": count, "loss_emo": emotion.detach()}
        if self.gender is not None:
            gender, known = cross_entropy(outputs["gender"], batch.gender)
            gender = gender * (known / count)
            loss = loss + self.gender_weight * gender
            right = (outputs["gender"].argmax(dim=1) == batch.gender).sum()
            stats |= {"loss_gender": gender.detach(), "gender_wa": right / known.clamp_min(1)}
        return loss, stats

    def initialise(self, batches: Iterable) -> None:
        """Begin the warm-up of the margin, whatever the phase that the weights come from did."""
        self.after_step(0, 1)

    def after_step(self, update: int, total: int) -> None:
        """Set the margin of the next update."""
        self.margin_now.fill_(margin_at(update, total, self.margin, self.margin_warmup))
