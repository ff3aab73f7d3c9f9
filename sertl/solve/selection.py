# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Which layers, how combined, and how strongly regularised: chosen on training speakers alone.

Every candidate is solved without one group of speakers after the other and judged by what it says
of that group; the test speakers have no part in it. What is chosen is then solved on all.
Candidates differ in what they combine, not in what they have seen, so one pass over the layers
serves them all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from sertl.errors import SertlError
from sertl.nn.own_heads import of_own_head
from sertl.nn.solved_head import COMBINE, SolvedHead, mean_of_probabilities, stacked
from sertl.score import metrics
from sertl.solve.held_out import Settings, Target, held_out, inner_splits, solve, strengths_of
from sertl.solve.linear_problem import LinearProblem

STACK_STRENGTHS = (0.003, 0.03)
BLENDED = ("best", "mean", "concat")


@dataclass(frozen=True)
class Candidate:
    """One way to predict, with what it says of the groups that were left out.

    Attributes:
        combine: One of COMBINE.
        layers: Places of the layers.
        columns: As of SolvedHead.
        strength: C.
        held_out: (N, C) log-probabilities or (N, A) values.
        over: C of the stack's own regression.
    """

    combine: str
    layers: tuple[int, ...]
    columns: int | None
    strength: float
    held_out: torch.Tensor = field(repr=False)
    over: float | None = None

    def part(self) -> dict:
        """What of it is to be solved."""
        return {
            "combine": self.combine,
            "layers": list(self.layers),
            "columns": self.columns,
            "strength": self.strength,
            "over": self.over,
        }


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        parts: combine, layers, columns, strength and over of each part.
        inner_score: Criterion of the candidate, or of the blend.
        layer_scores: What every layer alone scored, for the report; empty if none was judged.
        groups: Who judged.
    """

    parts: list[dict]
    inner_score: float
    layer_scores: list[float]
    groups: str


def choose(
    vectors: torch.Tensor,
    target: Target,
    groups: Sequence[str],
    settings: Settings,
    device: torch.device | str = "cpu",
) -> Choice:
    """Judge all candidates on groups that were left out, and take the best.

    Args:
        vectors: (N, L, P) of the training utterances.
        target: Of them.
        groups: Their speakers.
        settings: What may be chosen.
        device: Where to solve.
    """
    vectors, target, groups = _labelled(vectors, target, groups)
    if not len(vectors):
        raise SertlError("no training utterance has the label")
    classes = target.values.numpy() if target.num_classes else None
    parts, words = inner_splits(groups, classes)
    found = list(_candidates(vectors, target, parts, settings, device))
    scores = [_score(c.held_out, target, settings.criterion) for c in found]
    blend = settings.combine == "blend" and vectors.shape[1] > 1
    families = [(name,) for name in BLENDED] if blend else [COMBINE]
    chosen = []
    for family in families:
        some = [i for i, c in enumerate(found) if c.combine in family]
        chosen.append(found[max(some, key=lambda i: (scores[i], -i))])  # a tie: the first, simpler
    said = torch.stack([c.held_out for c in chosen])
    joint = mean_of_probabilities(said) if target.num_classes else said.mean(dim=0)
    layer_scores = [
        max(s[0] for c, s in zip(found, scores, strict=True) if _of_layer(c, layer))
        for layer in range(vectors.shape[1])
        if any(_of_layer(c, layer) for c in found)
    ]
    inner_score = _score(joint, target, settings.criterion)[0]
    return Choice([c.part() for c in chosen], inner_score, layer_scores, words)


def _labelled(
    vectors: torch.Tensor, target: Target, groups: Sequence[str]
) -> tuple[torch.Tensor, Target, list[str]]:
    """The utterances that have the label."""
    known = target.known
    kept = [g for g, k in zip(groups, known.tolist(), strict=True) if k]
    return vectors[known], replace(target, values=target.values[known]), kept


def _of_layer(candidate: Candidate, layer: int) -> bool:
    return candidate.combine == "best" and candidate.layers == (layer,)


def _candidates(
    vectors: torch.Tensor, target: Target, parts: list, settings: Settings, device
) -> Iterator[Candidate]:
    """All that settings allow, single layers first."""
    combine = settings.combine
    if combine == "stack" and not target.num_classes:
        combine = "mean"  # there are no probabilities to stack
    allowed = {"auto": COMBINE, "blend": BLENDED}.get(combine, (combine,))
    count = vectors.shape[1]
    strengths = strengths_of(target, settings)
    alone = None
    if {*allowed} & {"best", "mean", "stack"} or count == 1:
        alone = torch.stack(
            [held_out(vectors[:, n], target, parts, settings, device) for n in range(count)]
        )  # (L, S, N, C)
        if "best" in allowed or count == 1:
            for n in range(count):
                for s, strength in enumerate(strengths):
                    yield Candidate("best", (n,), None, strength, alone[n, s])
    if count == 1:
        return
    if "concat" in allowed:
        for columns in dict.fromkeys((settings.first_columns or None, None)):
            held = held_out(vectors[..., :columns].flatten(1), target, parts, settings, device)
            for s, strength in enumerate(strengths):
                yield Candidate("concat", tuple(range(count)), columns, strength, held[s])
    if "mean" in allowed:
        yield from _ranges(alone, strengths, bool(target.num_classes))
    if "stack" in allowed and target.num_classes:
        yield from _stacks(alone, strengths, target, parts, device)


def _ranges(alone: torch.Tensor, strengths: Sequence[float], classes: bool) -> Iterator[Candidate]:
    """Means over neighbouring layers, from each to each."""
    count = len(alone)
    for first in range(count):
        for last in range(first + 1, count):
            for s, strength in enumerate(strengths):
                some = alone[first : last + 1, s]
                mean = mean_of_probabilities(some) if classes else some.mean(dim=0)
                yield Candidate("mean", tuple(range(first, last + 1)), None, strength, mean)


def _stacks(
    alone: torch.Tensor, strengths: Sequence[float], target: Target, parts: list, device
) -> Iterator[Candidate]:
    """Regressions on what the layers say of held-out groups, judged on groups held out again."""
    settings = Settings(strengths=STACK_STRENGTHS)
    for s, strength in enumerate(strengths):
        inputs = stacked(alone[:, s])
        held = held_out(inputs, target, parts, settings, device, standardise=False)
        for o, over in enumerate(STACK_STRENGTHS):
            layers = tuple(range(len(alone)))
            yield Candidate("stack", layers, None, strength, held[o], over)


def _score(said: torch.Tensor, target: Target, criterion: str) -> tuple[float, float]:
    """The criterion of what was said, higher being better, and what decides a tie."""
    if not target.num_classes:
        pairs = zip(said.T.numpy(), target.values.double().T.numpy(), strict=True)
        varied = [metrics.ccc(hyp, ref) for hyp, ref in pairs if np.ptp(ref) > 0]
        return float(np.mean(varied)) if varied else 0.0, 0.0
    loss = -metrics.balanced_loss(said.numpy(), target.values.numpy())
    if criterion == "loss":
        return loss, 0.0
    said = of_own_head(said, target.heads, target.values)
    confusion = metrics.confusion_matrix(
        target.values.numpy(), said.argmax(dim=1).numpy(), target.num_classes
    )
    return float(metrics.ua(confusion)), loss


def solve_choice(
    vectors: torch.Tensor,
    target: Target,
    groups: Sequence[str],
    choice: Choice,
    settings: Settings,
    device: torch.device | str = "cpu",
) -> SolvedHead:
    """Solve what was chosen on all utterances that have the label."""
    vectors, target, groups = _labelled(vectors, target, groups)
    size = target.num_classes or target.values.shape[1]
    classes = bool(target.num_classes)
    head = SolvedHead(vectors.shape[2], size, choice.parts, classes, target.heads)
    for part, module in zip(choice.parts, head.parts, strict=True):
        for number, one in enumerate(module.maps):
            problem = LinearProblem(module.view(vectors, number), device)
            ((found,),) = solve(problem, target, [part["strength"]], settings)
            one.set(problem.mean, problem.std, *problem.on_vectors(found))
        if module.over is not None:
            parts, _ = inner_splits(groups, target.values.numpy())
            only = replace(settings, strengths=[part["strength"]])
            views = [module.view(vectors, i) for i in range(len(module.maps))]
            logs = [held_out(view, target, parts, only, device)[0] for view in views]
            problem = LinearProblem(stacked(torch.stack(logs)), device, standardise=False)
            over = replace(settings, head="logistic")
            ((found,),) = solve(problem, target, [part["over"]], over)
            module.over.set(problem.mean, problem.std, *problem.on_vectors(found))
    return head
