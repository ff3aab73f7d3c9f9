# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Speaker normalisation: what a speaker's clips have in common is taken out of each, unlabelled.

Of a speaker with the clips x_1 … x_n so far, the shift is (x_1 + … + x_n + w m) / (n + w): m is the
mean over the training utterances and w, the prior, counts clips. A speaker of whom little is known
so stays near `none`, which is the shift m for everybody.

- offline: the clips are all that the set holds of the speaker, those to come among them;
- online: the clips up to and with the one at hand (causal), in the corpus's own order (utt2order)
  where it has one, else in a random order that a seed decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sertl.data.datadir import Utterance
from sertl.seed import derive_seed

WEIGHTS = (0.5, 100.0)  # clips: least and greatest prior that is estimated


@dataclass(frozen=True)
class SpeakerNorm:
    """How speakers are normalised, with what was found on the training utterances.

    Attributes:
        mode: offline or online.
        weight: w, in clips.
        mean: (L, D') m of what models read; (D',) of what they pool themselves.
        std: (...) standard deviation of the training utterances within speakers; None does not
            scale.
    """

    mode: str
    weight: float
    mean: torch.Tensor
    std: torch.Tensor | None = None

    @property
    def inside(self) -> bool:
        """Whether it is of the vectors that a model pools itself, not of what it reads."""
        return self.mean.ndim == 1


def fit_speaker_norm(vectors: torch.Tensor, spks: Sequence[str], conf: dict) -> SpeakerNorm | None:
    """Find mean, prior and deviation on training utterances.

    Args:
        vectors: (N, ...) one of each training utterance.
        spks: N speakers.
        conf: data_conf.speaker_norm: mode, prior (null estimates it), scale.

    Returns:
        None for mode none.
    """
    if conf["mode"] == "none":
        return None
    _, within = _components(vectors, spks)
    weight = prior_weight(vectors, spks) if conf["prior"] is None else float(conf["prior"])
    std = within.sqrt().clamp_min(1e-6).float() if conf["scale"] else None
    return SpeakerNorm(conf["mode"], weight, vectors.double().mean(dim=0).float(), std)


def prior_weight(vectors: torch.Tensor, spks: Sequence[str]) -> float:
    """The w with which the shift is nearest to the speaker's own mean, for clips drawn at random.

    With variances b between and v within speakers that is v / b (the best linear unbiased
    predictor), here of the dimensions together, each in units of its own variance.

    Source:
        Robinson, "That BLUP is a good thing", Statistical Science 6(1), 1991; variance components
        by analysis of variance.
    """
    if len(set(spks)) < 2:
        return WEIGHTS[1]  # nothing is known of how speakers differ
    between, within = _components(vectors, spks)
    total = (between + within).clamp_min(1e-12)
    ratio = float((within / total).sum() / (between / total).sum().clamp_min(1e-12))
    return round(min(max(ratio, WEIGHTS[0]), WEIGHTS[1]), 3)


def _components(vectors: torch.Tensor, spks: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Variances between (at least 0) and within speakers, of each dimension."""
    vectors = vectors.double()
    groups = torch.from_numpy(np.unique(np.asarray(spks), return_inverse=True)[1])
    counts = torch.bincount(groups).double()
    shape = (-1,) + (1,) * (vectors.ndim - 1)
    means = torch.zeros(len(counts), *vectors.shape[1:], dtype=torch.float64)
    means = means.index_add(0, groups, vectors) / counts.reshape(shape)
    number, speakers = len(vectors), len(counts)
    inside = (vectors - means[groups]).square().sum(dim=0) / max(1, number - speakers)
    if speakers < 2:
        return torch.zeros_like(inside), inside
    spread = (means - vectors.mean(dim=0)).square() * counts.reshape(shape)
    size = (number - counts.square().sum() / number) / (speakers - 1)
    between = (spread.sum(dim=0) / (speakers - 1) - inside) / size
    return between.clamp_min(0.0), inside


def shifts(
    vectors: torch.Tensor, utts: Sequence[Utterance], norm: SpeakerNorm, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What to take from each utterance, and what to divide it by.

    Args:
        vectors: (N, ...) of the utterances of a set.
        utts: These.
        norm: From fit_speaker_norm.
        seed: Of the order of clips, for mode online without utt2order.

    Returns:
        (N, ...) shifts and, with norm.std, (N, ...) scales, else None.
    """
    shift = torch.empty_like(vectors)
    scale = None if norm.std is None else torch.empty_like(vectors)
    for order in speaker_orders(utts, seed):
        clips = vectors[order].double()
        total, squares = clips, (clips - norm.mean).square()
        if norm.mode == "online":
            total, squares = total.cumsum(dim=0), squares.cumsum(dim=0)
            count = torch.arange(1, len(order) + 1, dtype=torch.float64)
        else:
            total, squares = (x.sum(dim=0, keepdim=True) for x in (total, squares))
            count = torch.tensor([float(len(order))], dtype=torch.float64)
        count = count.reshape(-1, *[1] * (vectors.ndim - 1))
        mean = (total + norm.weight * norm.mean) / (count + norm.weight)
        shift[order] = mean.float().expand_as(clips)
        if scale is not None:
            # Sum of squares around the speaker's own mean, from that around the training mean.
            own = (squares - count * (total / count - norm.mean).square()).clamp_min(0.0)
            var = (own + norm.weight * norm.std.double().square()) / (count + norm.weight)
            scale[order] = var.sqrt().clamp_min(1e-6).float().expand_as(clips)
    return shift, scale


def without_speakers(
    vectors: torch.Tensor, utts: Sequence[Utterance], norm: SpeakerNorm | None, seed: int = 0
) -> torch.Tensor:
    """(N, ...) what is left of vectors when shifts and scales are taken out; all of it for None."""
    if norm is None:
        return vectors
    shift, scale = shifts(vectors, utts, norm, seed)
    return vectors - shift if scale is None else (vectors - shift) / scale


class SpeakerMemory:
    """The clips so far of every speaker, one after the other: mode online, without knowing the end.

    Args:
        norm: From fit_speaker_norm, of any mode.
        most: Speakers that are remembered; beyond, those not heard for longest are forgotten.
    """

    def __init__(self, norm: SpeakerNorm, most: int = 10_000):
        self.norm, self.most = norm, most
        self._sums: dict[str, tuple[int, torch.Tensor, torch.Tensor]] = {}

    def next(
        self, vectors: torch.Tensor, spks: Sequence[str | None], remember: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Take in clips, in this order, and say what to take from each; as shifts.

        Args:
            vectors: (N, ...).
            spks: N speakers; None is somebody else each time.
            remember: Keep the clips; else each is added to what is known for itself alone.
        """
        norm, shift, scale = self.norm, [], []
        for vector, spk in zip(vectors.double(), spks, strict=True):
            around = (vector - norm.mean).square()
            count, total, squares = self._sums.get(spk, (0, 0.0, 0.0)) if spk else (0, 0.0, 0.0)
            count, total, squares = count + 1, total + vector, squares + around
            if spk and remember:
                self._sums.pop(spk, None)  # to the end: heard last
                while len(self._sums) >= self.most:
                    del self._sums[next(iter(self._sums))]
                self._sums[spk] = (count, total, squares)
            shift.append((total + norm.weight * norm.mean) / (count + norm.weight))
            if norm.std is not None:
                own = (squares - count * (total / count - norm.mean).square()).clamp_min(0.0)
                var = (own + norm.weight * norm.std.double().square()) / (count + norm.weight)
                scale.append(var.sqrt().clamp_min(1e-6))
        found = torch.stack(shift).float()
        return found, torch.stack(scale).float() if scale else None


def enrolled(
    vectors: torch.Tensor,
    utts: Sequence[Utterance],
    norm: SpeakerNorm,
    clips: Mapping[str, Sequence[int]],
) -> torch.Tensor:
    """Shifts where each speaker is known by some clips alone, be they at hand or not.

    Args:
        vectors: (N, ...) of the utterances of a set.
        utts: These.
        norm: Its mean and weight.
        clips: Speaker -> which utterances they are known by; none: norm.mean, whatever the weight.

    Returns:
        (N, ...).
    """
    shift = torch.empty_like(vectors)
    for spk in {u.spk for u in utts}:
        own = [i for i, u in enumerate(utts) if u.spk == spk]
        known = vectors[list(clips.get(spk, ()))].double()
        count = len(known) + norm.weight
        total = known.sum(dim=0) + norm.weight * norm.mean
        shift[own] = (total / count if len(known) else norm.mean.double()).float()
    return shift


def speaker_orders(utts: Sequence[Utterance], seed: int) -> list[torch.Tensor]:
    """Indices of each speaker's utterances, in the order in which they were said.

    Where utt2order does not say it of all of a speaker's, the seed draws one.
    """
    of_speaker: dict[str, list[int]] = {}
    for index, utt in enumerate(utts):
        of_speaker.setdefault(utt.spk, []).append(index)
    orders = []
    for spk, indices in of_speaker.items():
        if all(utts[i].order is not None for i in indices):
            ranked = sorted(indices, key=lambda i: (float(utts[i].order), utts[i].utt))
        else:
            rng = np.random.default_rng(derive_seed(seed, "speaker order", spk))
            ranked = [indices[i] for i in rng.permutation(len(indices))]
        orders.append(torch.tensor(ranked))
    return orders
