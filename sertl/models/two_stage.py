# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Emotion with speech recognition, gender and speaking style as auxiliary tasks: both stages.

Gao, Shi, Chu, Kawahara, ICASSP 2024, pp. 11316-11320. Stage 1 tunes the encoder for emotion and
recognition; stage 2 starts from it and trains adapters inside it (upstream_conf.parts) and after
the pooling. What the paper leaves open is our choice and can be set.
"""

import logging
from collections.abc import Sequence

import torch
from torch import nn

from sertl.errors import unknown_name
from sertl.models.base import SERModel, Spec
from sertl.nn.ctc import certain_blanks, ctc_loss, too_short
from sertl.nn.layer_mix import LayerMix
from sertl.nn.losses import cross_entropy
from sertl.nn.pooling import MeanPooling
from sertl.nn.self_contrastive import FORMS, SIGNS, self_contrastive
from sertl.nn.task_adapter import TaskAdapter

logger = logging.getLogger(__name__)

LABELS = {"emo": "emo", "asr": "tokens", "gender": "gender", "style": "style"}  # task -> in Batch
FUSIONS = ("none", "concat", "shared")
AUXILIARY_WEIGHT = 0.1
NUM_STYLES = 4  # of data.dataset.STYLES


class Model(SERModel):
    """Loss: the weighted mean of the tasks' losses, plus scl_weight times the self-contrastive one.

    Every loss is a sum over the utterances that have the label, divided by all utterances. So each
    labelled utterance has the same say whatever labels others in its batch lack.

    Args:
        spec: See base.Spec. Several hidden states are summed with learned weights.
        upstream: For input `wav`, else None.
        tasks: emo and any of asr, gender, style. A task without labels in the training data, or
            with one and the same for all, is left out with a message; its share of the loss goes
            to emotion.
        require: Tasks that must not be left out.
        weights: Auxiliary task -> its share of the loss, 0.1 where it is not named; emotion has
            the rest, so all of them sum to 1.
        task_adapters: After the pooling, a bottleneck adapter for each task; else a linear layer.
        hidden: Width n of the task features.
        fusion: none: emotion from its own features x_e; concat: from those of all tasks; shared:
            the emotion classifier also learns from the other tasks' features, but predicts from
            x_e alone.
        scl: Self-contrastive loss between the task features: none | norm | cos.
        scl_sign: corrected | printed, see nn.self_contrastive.
        scl_weight: Its weight.
    """

    needs = ("emo", "tokens", "gender", "style")

    def __init__(
        self,
        spec: Spec,
        upstream: nn.Module | None = None,
        tasks: Sequence[str] = ("emo", "asr"),
        require: Sequence[str] = (),
        weights: dict[str, float] | None = None,
        task_adapters: bool = False,
        hidden: int = 256,
        fusion: str = "none",
        scl: str = "none",
        scl_sign: str = "corrected",
        scl_weight: float = 0.1,
    ):
        super().__init__(spec, upstream)
        if fusion not in FUSIONS:
            raise unknown_name("fusion", fusion, FUSIONS)
        if scl not in ("none", *FORMS):
            raise unknown_name("scl", scl, ("none", *FORMS))
        if scl_sign not in SIGNS:
            raise unknown_name("scl_sign", scl_sign, SIGNS)
        if not scl_weight > 0:
            raise ValueError(f"scl_weight is {scl_weight}, expected a positive number; scl: none")
        check_tasks(tasks)
        if not {"gender", "style"} & {*tasks} and (fusion != "none" or scl != "none"):
            raise ValueError(f"fusion {fusion}, scl {scl} need gender or style among tasks {tasks}")
        self.left_out = tasks_without_labels(tasks, require, spec)
        self.tasks = [task for task in LABELS if task in tasks and task not in self.left_out]
        self.needs = tuple(LABELS[task] for task in self.tasks)
        self.weights = loss_weights(self.tasks, weights)
        self.fusion, self.scl, self.scl_sign, self.scl_weight = fusion, scl, scl_sign, scl_weight

        size, pooled = spec.hidden_size, [task for task in self.tasks if task != "asr"]
        self.mix = LayerMix(len(spec.layers))
        self.pooling = MeanPooling(size)
        layer = TaskAdapter if task_adapters else nn.Linear
        self.features = nn.ModuleDict({task: layer(size, hidden) for task in pooled})
        inputs = {"emo": hidden * len(pooled) if fusion == "concat" else hidden}
        outputs = {"emo": len(spec.labels), "gender": 2, "style": len(spec.styles)}
        self.classifiers = nn.ModuleDict(
            {task: nn.Linear(inputs.get(task, hidden), outputs[task]) for task in pooled}
        )
        self.ctc = nn.Linear(size, spec.vocab_size) if "asr" in self.tasks else None
        class_weights = None if spec.class_weights is None else torch.tensor(spec.class_weights)
        self.register_buffer("class_weights", class_weights, persistent=False)
        self._named: set[str] = set()  # utterances too short for their transcript, said so already

    def encode(self, batch) -> dict[str, torch.Tensor]:
        """Return lens (B,), the features (B, n) of each task and, for asr, logits (B, T, V)."""
        hidden, lens = self.hidden(batch)
        frames = self.mix(hidden)  # (B, T, D)
        vector = self.pooling(frames, lens)  # (B, D)
        found = {task: layer(vector) for task, layer in self.features.items()}
        if self.ctc is not None:
            found["asr"] = self.ctc(frames)
        return {"lens": lens, **found}

    def emotion(self, found: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, C) logits to predict with."""
        if self.fusion == "concat":
            return self.classifiers["emo"](torch.cat([found[t] for t in self.features], dim=1))
        return self.classifiers["emo"](found["emo"])

    def outputs(self, found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What predict returns, from what encode returned."""
        out = {"emo": self.emotion(found)}
        if "gender" in found:
            out["gender"] = self.classifiers["gender"](found["gender"])
        if "style" in found:
            logits = self.classifiers["style"](found["style"])
            out["style"] = logits.new_full((len(logits), NUM_STYLES), -torch.inf)
            out["style"][:, list(self.spec.styles)] = logits
        if "asr" in found:
            out["ctc"] = certain_blanks(found["asr"].float().log_softmax(dim=2), found["lens"])
        return out

    def predict(self, batch) -> dict[str, torch.Tensor]:
        """Return emo (B, C), gender (B, 2), style (B, 4) logits, ctc (B, T, V) log-probabilities.

        Of the styles, those without a training utterance have -inf.
        """
        return self.outputs(self.encode(batch))

    def task_loss(
        self, task: str, found: dict[str, torch.Tensor], batch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and weight of one task's loss."""
        if task == "asr":
            return ctc_loss(found["asr"], found["lens"], batch.tokens, batch.token_lens)
        if task == "emo" and self.fusion == "shared" and self.training:
            each = [
                cross_entropy(self.classifiers["emo"](found[t]), batch.emo, self.class_weights)
                for t in self.features
            ]
            return sum(value for value, _ in each) / len(each), each[0][1]
        if task == "emo":
            return cross_entropy(self.emotion(found), batch.emo, self.class_weights)
        logits = self.classifiers[task](found[task])
        if task == "gender":
            return cross_entropy(logits, batch.gender)
        return cross_entropy(logits, self.own_styles(batch.style))

    def own_styles(self, style: torch.Tensor) -> torch.Tensor:
        """(B,) indices of data.dataset.STYLES -> of the classifier; -1 for one it does not know."""
        own = style.new_full((NUM_STYLES + 1,), -1)  # the last entry is that of -1
        own[list(self.spec.styles)] = torch.arange(len(self.spec.styles), device=style.device)
        return own[style]

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

    def insight(self) -> dict:
        """Shares of the loss, and tasks that the data have no labels for."""
        return {"loss_weights": self.weights, "tasks_left_out": self.left_out}


def check_tasks(tasks: Sequence[str]) -> None:
    """Refuse unknown and repeated tasks, and a list without emotion.

    Raises:
        ValueError, SertlError: Naming the task.
    """
    for task in tasks:
        if task not in LABELS:
            raise unknown_name("task", task, LABELS)
    if "emo" not in tasks or len(set(tasks)) < len(tasks):
        raise ValueError(f"tasks {list(tasks)} must hold emo, and each task once")


def tasks_without_labels(tasks: Sequence[str], require: Sequence[str], spec: Spec) -> list[str]:
    """The tasks that the training data cannot teach, after saying so.

    Raises:
        ValueError: If one of them is required, or a required one is none of tasks.
    """
    strangers = [task for task in require if task not in tasks]
    if strangers:
        raise ValueError(f"require names {strangers}, which are not among tasks {list(tasks)}")
    named = {"gender": spec.genders, "style": spec.styles}
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


def loss_weights(tasks: Sequence[str], weights: dict[str, float] | None) -> dict[str, float]:
    """Share of each task; emotion gets what the others leave.

    Raises:
        ValueError, SertlError: An unknown task, a weight outside (0, 1), nothing left for emotion.
    """
    weights = weights or {}
    for task, weight in weights.items():
        if task not in LABELS or task == "emo":
            raise unknown_name("auxiliary task in weights:", task, LABELS.keys() - {"emo"})
        if not 0.0 < weight < 1.0:
            raise ValueError(f"weights.{task} is {weight}, expected a share between 0 and 1")
    shares = {task: weights.get(task, AUXILIARY_WEIGHT) for task in tasks if task != "emo"}
    rest = 1.0 - sum(shares.values())
    if rest <= 0.0:
        raise ValueError(f"weights {shares} leave nothing for emotion")
    return {"emo": rest, **shares}
