# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Linear heads on the frozen encoder's pooled layers, solved to convergence instead of trained.

For each layer the statistics of its frames, standardised on the training set; multinomial logistic
regression with balanced weights for classes, ridge regression for valence, arousal and dominance.
Layers, how they are combined and the strengths are chosen inside the training speakers
(solve/selection.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Literal, get_args

import torch
from pydantic import Field
from torch import nn

from sertl.data.own_classes import heads_of
from sertl.errors import SertlError
from sertl.models.base import MODELS, SERModel, Spec
from sertl.nn.frame_statistics import pool_frames, statistic
from sertl.nn.solved_head import SolvedHead
from sertl.schema.strict import Positive
from sertl.solve.held_out import Settings, Target
from sertl.solve.selection import choose, solve_choice

Task = Literal["emo", "gender", "style", "vad"]
TASKS = get_args(Task)
Strengths = Annotated[Sequence[Positive], Field(min_length=1)]
DIMENSIONS = 3


@MODELS.register("linear")
class Linear(SERModel):
    """Classify, and rate, an utterance from the statistics of its frames.

    Args:
        spec: See base.Spec; hidden states are taken as they are (data_conf.normalise false).
        upstream: For input `wav`, else None.
        statistics: Of the frames, see nn/frame_statistics.py.
        tasks: What is predicted: emo, gender, style (as far as the corpus has them), vad.
        head: logistic, or prototype: the nearest class mean, for a few examples of each class.
        combine: best (one layer), mean (of neighbouring layers' probabilities), stack, concat;
            auto: the best of these; blend: the mean of the best of best, mean and concat.
        strengths: C of logistic regression to choose from.
        value_strengths: C of ridge regression to choose from.
        criterion: What chooses: loss (balanced cross-entropy) or ua.
        refit: Solve what was chosen on train + dev, and choose on both; false leaves dev out of it
            all, for comparison with methods that need it.
        chosen: Of each task, what was chosen; set when the model is solved, not by users.
    """

    needs = TASKS
    solved = True

    @classmethod
    def statistics(cls, model_conf: dict, num_layers: int) -> tuple[str, ...]:
        """All that it reads."""
        return tuple(model_conf.get("statistics", ("mean", "std")))

    def __init__(
        self,
        spec: Spec,
        upstream: nn.Module | None = None,
        statistics: Annotated[Sequence[str], Field(min_length=1)] = ("mean", "std"),
        tasks: Annotated[Sequence[Task], Field(min_length=1)] = ("emo",),
        head: Literal["logistic", "prototype"] = "logistic",
        combine: Literal["best", "mean", "stack", "concat", "auto", "blend"] = "blend",
        strengths: Strengths = (0.001, 0.01, 0.1),
        value_strengths: Strengths = (1e-4, 1e-3, 1e-2, 1e-1),
        criterion: Literal["loss", "ua"] = "loss",
        refit: bool = True,
        chosen: Mapping[str, Mapping] | None = None,
    ):
        super().__init__(spec, upstream)
        self.names = tuple(statistics)
        for name in self.names:
            statistic(name)
        for task in tasks:
            self._check_task(task)
        self.needs, self.refit = tuple(tasks), refit
        first = spec.hidden_size if len(self.names) > 1 else 0
        self.settings = Settings(head, combine, strengths, value_strengths, criterion, first)
        self.chosen = dict(chosen or {})
        self.heads = nn.ModuleDict({t: self._head(t, c) for t, c in self.chosen.items()})

    def _check_task(self, task: str) -> None:
        if task == "vad" and self.spec.vad_range is None:
            raise ValueError("task vad needs a corpus with utt2vad and vad_range")
        if task not in ("emo", "vad") and len(self.spec.classes.get(task, ())) < 2:
            raise ValueError(f"task {task}: the training data have no two classes of it")

    def _size(self, task: str) -> int:
        return DIMENSIONS if task == "vad" else len(self.spec.all_classes[task])

    def _head(self, task: str, chosen: Mapping) -> SolvedHead:
        width = self.spec.hidden_size * len(self.names)
        heads = heads_of(self.spec.all_classes.get(task, ()))
        return SolvedHead(width, self._size(task), chosen["parts"], task != "vad", heads)

    def solve(self, vectors: torch.Tensor, batch, groups: Sequence[str], device) -> None:
        """Choose and solve every task's head.

        Args:
            vectors: (N, L, P) of the training utterances.
            batch: Their labels, as a data.batch.Batch.
            groups: Their speakers.
            device: Where to solve.

        Raises:
            SertlError: Vectors that are not finite; no labels.
        """
        if not vectors.isfinite().all():
            row = int((~vectors.isfinite()).flatten(1).any(dim=1).nonzero()[0])
            raise SertlError(f"hidden states of {batch.utt[row]} are not finite")
        for task in self.needs:
            target = (
                Target(batch.vad, 0)
                if task == "vad"
                else Target.of_classes(batch.labels[task], self.spec.all_classes[task])
            )
            choice = choose(vectors, target, groups, self.settings, device)
            self.chosen[task] = asdict(choice)
            self.heads[task] = solve_choice(vectors, target, groups, choice, self.settings, device)

    def vectors(self, batch) -> torch.Tensor:
        """(B, L, S * D) of a batch: pooled once, or from frames."""
        if batch.vectors is not None:
            return batch.vectors
        hidden, lens = self.hidden(batch)  # (B, L, T, D)
        rows = zip(hidden, lens.tolist(), strict=True)
        return torch.stack([pool_frames(states[:, :n], self.names) for states, n in rows])

    def utterance_vectors(self, batch) -> torch.Tensor:
        """(B, L * S * D) all layers' vectors side by side."""
        return self.vectors(batch).flatten(1)

    def predict(self, batch) -> dict[str, torch.Tensor]:
        """Return log-probabilities (B, C) of each class field, and vad (B, 3)."""
        vectors = self.vectors(batch)
        return {task: head(vectors) for task, head in self.heads.items()}

    def loss(self, outputs: dict[str, torch.Tensor], batch) -> tuple[torch.Tensor, dict]:
        """Refused: there is nothing to train in updates."""
        raise ValueError("linear heads are solved, not trained")

    def facts(self) -> dict:
        """What was chosen of each task, with layers as numbers of hidden states."""
        found = {}
        for task, chosen in self.chosen.items():
            found[f"chosen {task}"] = " + ".join(self._words(p) for p in chosen["parts"])
            found[f"layer_scores {task}"] = [round(s, 4) for s in chosen["layer_scores"]]
            found["chosen by"] = f"{chosen['groups']}; {self.judged(task)}"
        found["solved on"] = "train + dev" if self.refit else "train"
        solved = sum(b.numel() for n, b in self.named_buffers() if n.endswith(("weight", "bias")))
        found["params"] = {"trained": solved, "frozen": 0, "total": solved}
        return found

    def _words(self, part: dict) -> str:
        """A part of a choice, for people."""
        layers = [self.spec.layers[n] for n in part["layers"]]
        span = f"layer {layers[0]}"
        if len(layers) > 1:
            span = f"layers {layers[0]} to {layers[-1]}"
        words = f"{part['combine']} {span}"
        words += f" ({self.names[0]} alone)" if part["columns"] is not None else ""
        words += f", C {part['strength']:g}"
        return words + (f", stack's C {part['over']:g}" if part["over"] is not None else "")

    def judged(self, task: str) -> str:
        """The criterion of a task, in words."""
        if task == "vad":
            return "mean CCC"
        return "UA" if self.settings.criterion == "ua" else "balanced cross-entropy (negative)"
