# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Heads solved on the features that a phase begins with, and written into its model.

The first prediction is then that of the method `linear` on these layers and this pooling, but for
one thing: where `linear` averages probabilities, a single linear map averages their logarithms.

Source:
    Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform
    Out-of-Distribution", ICLR 2022 (LP-FT).
"""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence

import torch

from sertl.data.batch import Batch
from sertl.data.dataset import UttDataset
from sertl.errors import SertlError
from sertl.models.base import SERModel
from sertl.solve.held_out import Settings, Target
from sertl.solve.selection import Choice, choose, solve_choice

logger = logging.getLogger(__name__)


@torch.no_grad()
def solve_start(
    model: SERModel,
    data: UttDataset,
    batches: Iterable[Batch],
    device: torch.device,
    chosen: Mapping[str, Sequence[dict]] | None = None,
) -> dict[str, list[dict]]:
    """Solve every head that can be, on the training set's own vectors, and start from it.

    Layers and strength are chosen by leaving training speakers out, as in models/linear.py.

    Args:
        model: With the weights that its phase starts from, in evaluation mode.
        data: Training utterances.
        batches: All of them, whole, in any order, on the device.
        device: Where to solve.
        chosen: The parts of tasks for which nothing is to be chosen any more.

    Returns:
        Of each task, the parts that were chosen.

    Raises:
        SertlError: A model without such heads, or whose head cannot start as a linear map; hidden
            states that are not finite; no labels.
    """
    tasks = _startable(model)
    views, width = model.start_shape
    vectors, targets, groups = _collect(model, data, batches, views, width)
    settings = Settings(first_columns=model.spec.hidden_size if _has_mean_first(model) else 0)
    found = {}
    for task in tasks:
        target = _target(model, task, targets[task])
        if chosen and task in chosen:
            choice = Choice([*chosen[task]], math.nan, [], "as an earlier phase chose")
        else:
            choice = choose(vectors, target, groups, settings, device)
        head = solve_choice(vectors, target, groups, choice, settings, device)
        known = vectors[target.known]
        one = head.as_one_map(known)
        _start(model, task, one.mean, one.std, one.weight, one.bias)
        found[task] = choice.parts
        logger.info("start of %s: %s", task, words(choice))
    return found


def check_startable(model: SERModel) -> None:
    """Start a model that nobody is going to use, as a map of zeros, to see that it can.

    Raises:
        SertlError: No head for emotion, or one that cannot start as a linear map.
    """
    tasks = _startable(model)
    views, width = model.start_shape
    for task in tasks:
        number = 3 if task == "vad" else len(model.spec.all_classes[task])
        weight = torch.zeros(number, views * width, dtype=torch.float64)
        _start(model, task, weight[0], weight[0] + 1.0, weight, weight[:, 0])


def _startable(model: SERModel) -> tuple[str, ...]:
    tasks = model.startable()
    if not tasks:
        raise SertlError("start: solved needs a model with a head for emotion; use start=random")
    return tasks


def _start(model: SERModel, task: str, *solved: torch.Tensor) -> None:
    try:
        model.start_solved(task, *solved)
    except ValueError as error:
        raise SertlError(str(error)) from error


def _collect(
    model: SERModel, data: UttDataset, batches: Iterable[Batch], views: int, width: int
) -> tuple[torch.Tensor, dict[str, torch.Tensor], list[str]]:
    """(N, V, P) vectors, the labels of each task, and the speakers."""
    spk = {u.utt: u.spk for u in data.utts}
    vectors, groups = [], []
    labels: dict[str, list[torch.Tensor]] = {task: [] for task in model.startable()}
    for batch in batches:
        found = model.centred(model.pool_once(batch), batch)[:, : views * width].float().cpu()
        if not found.isfinite().all():
            row = int((~found.isfinite()).any(dim=1).nonzero()[0])
            raise SertlError(f"hidden states of {batch.utt[row]} are not finite")
        vectors.append(found.unflatten(1, (views, width)))
        groups += [spk[utt] for utt in batch.utt]
        for task, values in labels.items():
            values.append((batch.vad if task == "vad" else batch.labels[task]).cpu())
    return torch.cat(vectors), {t: torch.cat(v) for t, v in labels.items()}, groups


def _target(model: SERModel, task: str, values: torch.Tensor) -> Target:
    if task == "vad":
        return Target(values, 0)
    return Target.of_classes(values, model.spec.all_classes[task])


def _has_mean_first(model: SERModel) -> bool:
    """Whether a vector holds the means and more, so that the means alone are a candidate."""
    return model.start_shape[1] == 2 * model.spec.hidden_size


def words(choice: Choice) -> str:
    """A choice for the log: places of views, from 0."""
    parts = [
        f"{p['combine']} of views {','.join(map(str, p['layers']))}, C {p['strength']:g}"
        for p in choice.parts
    ]
    return " + ".join(parts) + f" ({choice.groups})"
