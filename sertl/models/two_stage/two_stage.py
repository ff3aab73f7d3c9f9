# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Emotion with speech recognition, gender and speaking style as auxiliary tasks: both stages.

Gao, Shi, Chu, Kawahara, ICASSP 2024, pp. 11316-11320. Stage 1 tunes the encoder for emotion and
recognition; stage 2 starts from it and trains adapters inside it (upstream_conf.peft) and after
the pooling. What the paper leaves open is our choice and can be set.
"""

import logging
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from sertl.errors import unknown_name
from sertl.models.base import MODELS, SERModel, Spec
from sertl.models.two_stage.ctc import certain_blanks, ctc_loss, too_short
from sertl.models.two_stage.self_contrastive import self_contrastive
from sertl.nn.layer_mix import LayerMix
from sertl.nn.linear_start import Standardise, read_map, with_constant, write_map
from sertl.nn.losses import CLASS_LOSSES, cross_entropy
from sertl.nn.pooling import POOLINGS, pool_views
from sertl.schema.strict import Options, Positive, Share, Size

logger = logging.getLogger(__name__)

FIELDS = {"emo": "emo", "asr": "text", "gender": "gender", "style": "style"}  # task -> its labels
Task = Literal["emo", "asr", "gender", "style"]
AUXILIARY_WEIGHT = 0.1


@MODELS.register("two_stage")
class TwoStage(SERModel):
    """Loss: the weighted mean of the tasks' losses, plus scl_weight times the self-contrastive one.

    Every loss is a sum over the utterances that have the label, divided by all utterances. So each
    labelled utterance has the same say whatever labels others in its batch lack.

    Args:
        spec: See base.Spec.
        upstream: For input `wav`, else None.
        combine: Of several hidden states: mix, their learned weighted sum, before pooling; or
            concat, each one's pooled vector beside the others. Recognition reads the mix, or with
            concat the highest state.
        tasks: emo and any of asr, gender, style. A task without labels in the training data, or
            with one and the same for all, is left out with a message; its share of the loss goes
            to emotion.
        require: Tasks that must not be left out.
        weights: Auxiliary task -> its share of the loss, 0.1 where it is not named; emotion has
            the rest, so all of them sum to 1.
        pooling: Name of a pooling (nn/pooling.py).
        task_mlp: After the pooling, two layers for each task, the paper's task adapters; else one.
        hidden: Width n of the task features.
        loss: Of emotion: name of a loss of classes (nn/losses.py).
        loss_conf: Its arguments.
        fusion: none: emotion from its own features x_e; concat: from those of all tasks; shared:
            the emotion classifier also learns from the other tasks' features, but predicts from
            x_e alone.
        scl: Self-contrastive loss between the task features: none | norm | cos.
        scl_sign: corrected | printed, see nn.self_contrastive.
        scl_weight: Its weight.
    """

    needs = ("emo", "text", "gender", "style")

    def __init__(
        self,
        spec: Spec,
        upstream: nn.Module | None = None,
        tasks: Annotated[Sequence[Task], Field(min_length=1)] = ("emo", "asr"),
        require: Sequence[Task] = (),
        weights: dict[str, Share] | None = None,
        pooling: str = "mean",
        combine: Literal["mix", "concat"] = "mix",
        task_mlp: bool = False,
        hidden: Size = 256,
        loss: str = "ce",
        loss_conf: Options | None = None,
        fusion: Literal["none", "concat", "shared"] = "none",
        scl: Literal["none", "norm", "cos"] = "none",
        scl_sign: Literal["corrected", "printed"] = "corrected",
        scl_weight: Positive = 0.1,
    ):
        super().__init__(spec, upstream)
        check_tasks(tasks)
        if not {"gender", "style"} & {*tasks} and (fusion != "none" or scl != "none"):
            raise ValueError(f"fusion {fusion}, scl {scl} need gender or style among tasks {tasks}")
        self.left_out = tasks_without_labels(tasks, require, spec)
        self.tasks = [task for task in FIELDS if task in tasks and task not in self.left_out]
        self.needs = tuple(FIELDS[task] for task in self.tasks)
        self.weights = loss_weights(self.tasks, weights)
        self.fusion, self.scl, self.scl_sign, self.scl_weight = fusion, scl, scl_sign, scl_weight

        self.hidden_width = hidden
        size, pooled = spec.hidden_size, [task for task in self.tasks if task != "asr"]
        self.mix = None if combine == "concat" else LayerMix(len(spec.layers))
        self.pooling = POOLINGS.build(pooling, size)
        width = self.pooling.output_size * self.start_shape[0]
        self.standard = Standardise(width)
        layer = TaskMLP if task_mlp else nn.Linear
        self.features = nn.ModuleDict({task: layer(width, hidden) for task in pooled})
        self.emo_loss = CLASS_LOSSES.build(loss, spec.class_weights, conf=loss_conf)
        inputs = {"emo": hidden * len(pooled) if fusion == "concat" else hidden}
        last, classes = {"emo": self.emo_loss.last_layer}, {"emo": spec.labels, **spec.classes}
        self.classifiers = nn.ModuleDict(
            {t: last.get(t, nn.Linear)(inputs.get(t, hidden), len(classes[t])) for t in pooled}
        )
        self.ctc = nn.Linear(size, spec.vocab_size) if "asr" in self.tasks else None
        self.absent = [] if self.ctc is not None else ["ctc"]
        self._named: set[str] = set()  # utterances too short for their transcript, said so already

    def encode(self, batch) -> dict[str, torch.Tensor]:
        """Return the features (B, n) of each task and, for asr, lens (B,) and logits (B, T, V)."""
        found = {}
        if self.ctc is None:
            pooled = self.pool_once(batch)
        else:
            hidden, lens = self.hidden(batch)
            pooled = self.pooled(hidden, lens)
            read = self.ctc(hidden[:, -1] if self.mix is None else self.mix(hidden))
            found = {"lens": lens, "asr": read}
        vector = self.standard(self.centred(pooled, batch))  # (B, D')
        return found | {task: layer(vector) for task, layer in self.features.items()}

    def pooled(self, hidden: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """hidden (B, L, T, D), lens (B,) -> (B, D')."""
        return pool_views(self.pooling, self.mix, hidden, lens).flatten(1)

    def pool(self, batch) -> torch.Tensor:
        """(B, D') vectors of the mix, or of the layers side by side."""
        return self.pooled(*self.hidden(batch))

    @property
    def start_shape(self) -> tuple[int, int]:
        return len(self.spec.layers) if self.mix is None else 1, self.pooling.output_size

    def startable(self) -> tuple[str, ...]:
        return tuple(self.features)

    def start_solved(self, task: str, mean, std, weight, bias) -> None:
        self.standard.set(mean, std)
        feature, classifier = self.features[task], self.classifiers[task]
        constant = getattr(classifier, "constant", None)
        if constant is not None:
            weight, bias = with_constant(weight, bias, constant)
        place = 0
        if task == "emo" and self.fusion == "concat":  # of its own features among all tasks'
            place = list(self.features).index(task) * self.hidden_width
        if isinstance(feature, TaskMLP):
            write_map(feature.down, weight.float(), bias.float(), sign=True)
            read_map(feature.out, len(bias), sign=True, rows=len(bias))
        else:
            write_map(feature, weight.float(), bias.float(), sign=False)
        read_map(classifier, len(bias), sign=False, first=place)

    def emotion(self, found: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, C) logits to predict with."""
        if self.fusion == "concat":
            return self.classifiers["emo"](torch.cat([found[t] for t in self.features], dim=1))
        return self.classifiers["emo"](found["emo"])

    def outputs(self, found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What predict returns, from what encode returned."""
        out = {"emo": self.emotion(found)}
        for task in ("gender", "style"):
            if task in found:
                out[task] = self.classifiers[task](found[task])
        if "asr" in found:
            out["ctc"] = certain_blanks(found["asr"].float().log_softmax(dim=2), found["lens"])
        return out

    def predict(self, batch) -> dict[str, torch.Tensor]:
        """Return logits of emo, gender and style (B, C) and ctc (B, T, V) log-probabilities."""
        return self.outputs(self.encode(batch))

    def task_loss(
        self, task: str, found: dict[str, torch.Tensor], batch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and weight of one task's loss."""
        if task == "asr":
            return ctc_loss(found["asr"], found["lens"], batch.tokens, batch.token_lens)
        if task == "emo" and self.fusion == "shared" and self.training:
            each = [
                self.emotion_loss(self.classifiers["emo"](found[t]), batch) for t in self.features
            ]
            return sum(value for value, _ in each) / len(each), each[0][1]
        if task == "emo":
            return self.emotion_loss(self.emotion(found), batch)
        return cross_entropy(self.classifiers[task](found[task]), getattr(batch, task))

    def total_loss(self, found: dict[str, torch.Tensor], batch) -> tuple[torch.Tensor, dict]:
        """Loss and stats; their weight is the number of utterances."""
        count = float(len(batch))
        loss, stats = 0.0, {"weight": count}
        for task in self.tasks:
            value, weight = self.task_loss(task, found, batch)
            value = value * (weight / count)
            loss = loss + self.weights[task] * value
            stats[f"loss_{task}"] = value.detach()
        if self.scl != "none":
            features = [found[task] for task in self.features]
            value, _ = self_contrastive(features, self.scl, self.scl_sign)
            loss = loss + self.scl_weight * value
            stats["loss_scl"] = value.detach()
        if "asr" in self.tasks:
            stats["asr_too_short"] = self.name_too_short(found["lens"], batch) / count
        return loss, stats

    def name_too_short(self, lens: torch.Tensor, batch) -> int:
        """Log, once each, the utterances that CTC cannot align, and count those of the batch."""
        short = too_short(lens, batch.tokens, batch.token_lens).tolist()
        utts = [utt for utt, is_short in zip(batch.utt, short, strict=True) if is_short]
        new = [utt for utt in utts if utt not in self._named]
        self._named.update(new)
        if new:
            logger.warning(
                "%s: fewer frames than the transcript needs, without recognition loss "
                "(%d such utterances so far)",
                " ".join(new),
                len(self._named),
            )
        return len(utts)

    def forward(self, batch) -> tuple[torch.Tensor, dict]:
        """Training: loss and stats."""
        return self.total_loss(self.encode(batch), batch)

    def evaluate(self, batch) -> tuple[torch.Tensor, dict, dict[str, torch.Tensor]]:
        """Dev: loss, stats and outputs in one pass."""
        found = self.encode(batch)
        return *self.total_loss(found, batch), self.outputs(found)

    def facts(self) -> dict:
        """Shares of the loss, and tasks that the data have no labels for."""
        return {"loss_weights": self.weights, "tasks_left_out": self.left_out}


def check_tasks(tasks: Sequence[str]) -> None:
    """Refuse unknown and repeated tasks, and a list without emotion.

    Raises:
        ValueError, SertlError: Naming the task.
    """
    if "emo" not in tasks or len(set(tasks)) < len(tasks):
        raise ValueError(f"tasks {list(tasks)} must hold emo, and each task once")


def tasks_without_labels(tasks: Sequence[str], require: Sequence[Task], spec: Spec) -> list[str]:
    """The tasks that the training data cannot teach, after saying so.

    Raises:
        ValueError: If one of them is required, or a required one is none of tasks.
    """
    strangers = [task for task in require if task not in tasks]
    if strangers:
        raise ValueError(f"require names {strangers}, which are not among tasks {list(tasks)}")
    named = {task: spec.classes.get(task, ()) for task in ("gender", "style")}
    missing = []
    for task in tasks:
        if task == "asr" and not spec.vocab_size:
            why = "have no transcripts or the fold no tokenizer"
        elif task in named and not named[task]:
            why = f"have no {task} labels"
        elif task in named and len(named[task]) == 1:
            # Its loss would be 0, and its features, which nothing trains, would enter the fusion
            # and the self-contrastive loss.
            why = f"have one {task} only"
        else:
            continue
        if task in require:
            raise ValueError(f"task {task} is required, but the training data {why}")
        missing.append(task)
        logger.warning("task %s is left out: the training data %s", task, why)
    return missing


def loss_weights(tasks: Sequence[str], weights: dict[str, Share] | None) -> dict[str, float]:
    """Share of each task; emotion gets what the others leave.

    Raises:
        ValueError, SertlError: An unknown task, a weight outside (0, 1), nothing left for emotion.
    """
    weights = weights or {}
    for task, weight in weights.items():
        if task not in FIELDS or task == "emo":
            raise unknown_name("auxiliary task in weights:", task, FIELDS.keys() - {"emo"})
        if not 0.0 < weight < 1.0:
            raise ValueError(f"weights.{task} is {weight}, expected a share between 0 and 1")
    shares = {task: weights.get(task, AUXILIARY_WEIGHT) for task in tasks if task != "emo"}
    rest = 1.0 - sum(shares.values())
    if rest <= 0.0:
        raise ValueError(f"weights {shares} leave nothing for emotion")
    return {"emo": rest, **shares}


class TaskMLP(nn.Module):
    """W_2 ReLU(W_1 x + b_1) + b_2 without a residual, so that all tasks' outputs compare.

    Args:
        size: D of the pooled vectors.
        width: n, of the hidden layer and of the output.

    Source:
        Gao et al., ICASSP 2024, pp. 11316-11320; layers and width are our choice.
    """

    def __init__(self, size: int, width: int = 256):
        super().__init__()
        self.down = nn.Linear(size, width)
        self.out = nn.Linear(width, width)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, n)."""
        return self.out(torch.relu(self.down(vectors)))
