# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""GMP-TL's utterance classifier: [BiLSTM], pooling, projection, emotion and gender heads.

With BiLSTM, gender and cross-entropy it is the multi-task teacher, whose frames are clustered; with
AM-Softmax, the last step, which starts from models/frame_prediction.py. Pan et al., "GMP-TL", SLT
2024, arXiv 2405.02151; what the paper leaves open is our choice and can be set.
"""

import logging
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from sertl.models.base import MODELS, SERModel, Spec
from sertl.nn.layer_mix import LayerMix
from sertl.nn.linear_start import Standardise, read_map, with_constant, write_map
from sertl.nn.losses import CLASS_LOSSES, cross_entropy
from sertl.nn.pooling import POOLINGS, frame_mask, pool_views
from sertl.schema.strict import Options, Size, Width

logger = logging.getLogger(__name__)


@MODELS.register("gmp_tl")
class GmpTl(SERModel):
    """Loss: (1 - gender_weight) * emotion + gender_weight * gender.

    Each is a sum over the utterances that have the label, divided by all utterances, so that an
    utterance has the same say whatever labels others in its batch lack.

    Args:
        spec: See base.Spec.
        upstream: For input `wav`, else None.
        combine: Of several hidden states: mix, their learned weighted sum, before pooling; or
            concat, each one's pooled vector beside the others.
        bilstm: Units per direction of a BiLSTM over the frames, of the mix; 0 for none.
        bypass: Whether the pooled hidden states go beside the pooled outputs of the BiLSTM.
        pooling: Name of a pooling (nn/pooling.py).
        projection: Width of the linear layer after the pooling.
        gender_weight: gamma, in [0, 1); 0 leaves the gender head out, as do data without
            genders or with one only.
        loss: Of emotion: name of a loss of classes (nn/losses.py).
        loss_conf: Its arguments.
    """

    needs = ("emo", "gender")

    def __init__(
        self,
        spec: Spec,
        upstream: nn.Module | None = None,
        bilstm: Width = 0,
        bypass: bool = False,
        combine: Literal["mix", "concat"] = "mix",
        pooling: str = "mean",
        projection: Size = 256,
        gender_weight: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0,
        loss: str = "am_softmax",
        loss_conf: Options | None = None,
    ):
        super().__init__(spec, upstream)
        if gender_weight and len(spec.classes.get("gender", ())) < 2:
            logger.warning("task gender is left out: the training data have no two genders")
            gender_weight = 0.0
        self.needs = ("emo", "gender") if gender_weight else ("emo",)
        self.gender_weight = gender_weight
        self.concat = combine == "concat"
        self.mix = LayerMix(len(spec.layers)) if bilstm or not self.concat else None
        self.bilstm = BiLSTM(spec.hidden_size, bilstm) if bilstm else None
        self.pooling = self.over = None
        sizes = []
        if not bilstm or bypass:
            self.pooling = POOLINGS.build(pooling, spec.hidden_size)
            sizes.append(self.pooling.output_size * (len(spec.layers) if self.concat else 1))
        if bilstm:
            self.over = POOLINGS.build(pooling, self.bilstm.output_size)
            sizes.append(self.over.output_size)
        self.standard = Standardise(sum(sizes))
        self.project = nn.Linear(sum(sizes), projection)
        self.emo_loss = CLASS_LOSSES.build(loss, spec.class_weights, conf=loss_conf)
        self.emotion = self.emo_loss.last_layer(projection, len(spec.labels))
        self.gender = nn.Linear(projection, 2) if gender_weight else None

    def pool(self, batch) -> torch.Tensor:
        """(B, D') vectors: of the layers, of the BiLSTM's outputs, or both."""
        hidden, lens = self.hidden(batch)
        parts = []
        if self.pooling is not None:
            mix = None if self.concat else self.mix
            parts.append(pool_views(self.pooling, mix, hidden, lens).flatten(1))
        if self.bilstm is not None:
            parts.append(self.over(self.bilstm(self.mix(hidden), lens), lens))
        return torch.cat(parts, dim=1)

    @property
    def start_shape(self) -> tuple[int, int]:
        if self.pooling is None:
            return 1, self.over.output_size
        return len(self.spec.layers) if self.concat else 1, self.pooling.output_size

    def startable(self) -> tuple[str, ...]:
        return self.needs

    def start_solved(self, task: str, mean, std, weight, bias) -> None:
        self.standard.set(mean, std)
        # The projection begins with the emotions' units and ends with the genders'.
        head = self.emotion if task == "emo" else self.gender
        constant = getattr(head, "constant", None)
        if constant is not None:
            weight, bias = with_constant(weight, bias, constant)
        first = 0 if task == "emo" else self.project.out_features - len(bias)
        write_map(self.project, weight.float(), bias.float(), sign=False, first=first)
        read_map(head, len(bias), sign=False, first=first)

    def predict(self, batch) -> dict[str, torch.Tensor]:
        """Return emo (B, C) logits (AM-Softmax: scaled cosines) and, if it is a task, gender."""
        pooled = self.standard(self.centred(self.pool_once(batch), batch))
        vectors = self.project(pooled)  # (B, projection)
        out = {"emo": self.emotion(vectors)}
        if self.gender is not None:
            out["gender"] = self.gender(vectors)
        return out

    def loss(self, outputs: dict[str, torch.Tensor], batch) -> tuple[torch.Tensor, dict]:
        """Loss and stats."""
        emotion, weight = self.emotion_loss(outputs["emo"], batch)
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


class BiLSTM(nn.Module):
    """One layer; the backward direction starts at the last real frame.

    Not a packed sequence, as is usual: its backward pass is slow on a CPU. Each direction reads
    padded frames, the backward one with the real ones in reverse order.

    Args:
        input_size: D.
        hidden: H, units per direction.
    """

    def __init__(self, input_size: int, hidden: int):
        super().__init__()
        self.output_size = 2 * hidden
        self.ahead = nn.LSTM(input_size, hidden, batch_first=True)
        self.back = nn.LSTM(input_size, hidden, batch_first=True)

    def forward(self, feats: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """feats (B, T, D), lens (B,) -> (B, T, 2H), zero at padding."""
        frames = torch.arange(feats.shape[1], device=feats.device)
        real = frame_mask(lens, feats.shape[1])  # (B, T)
        order = torch.where(real, lens[:, None] - 1 - frames, frames)[:, :, None]
        padding = ~real[:, :, None]
        feats = feats.masked_fill(padding, 0.0)
        ahead, _ = self.ahead(feats)
        back, _ = self.back(feats.gather(1, order.expand_as(feats)))
        both = torch.cat([ahead, back.gather(1, order.expand_as(back))], dim=2)
        return both.masked_fill(padding, 0.0)
