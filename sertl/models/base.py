# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What every model shares: hidden states from the arks or from a live upstream, one interface."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from sertl.data.own_classes import heads_of
from sertl.nn.losses import ClassLoss
from sertl.nn.own_heads import of_own_head
from sertl.nn.span_mask import span_masks
from sertl.registry import Registry
from sertl.seed import derive_seed

MODELS: Registry[type["SERModel"]] = Registry("model", "sertl.models")


@dataclass(frozen=True)
class Spec:
    """What a model is built for.

    Attributes:
        labels: Emotion classes in index order.
        hidden_size: D of the hidden states.
        layers: Indices of the hidden states that the model gets, L of them.
        lower: Indices of the hidden states that batch.feats holds, ascending, where a live encoder
            goes on from the last of them; empty where it hears audio, or there is none.
        normalise: Layer-normalise the hidden states (dumped ones come normalised).
        class_weights: Of the emotion loss, one per class (data_conf.class_weights), or None.
        vad_range: Lowest and highest value of the corpus's V/A/D scale, if it has one.
        vocab_size: Of the tokenizer, blank included; 0 without transcripts.
        clusters: K of each set of frame pseudo-labels; empty without any.
        time_mask, time_mask_span: Share of the frames entering the encoder's blocks that training
            masks, and frames per span (data_conf).
        classes: Of each other class field that the model may read (its `needs`): what the training
            data have, in index order.
    """

    labels: list[str]
    hidden_size: int
    layers: list[int]
    normalise: bool = False
    class_weights: list[float] | None = None
    vad_range: tuple[float, float] | None = None
    vocab_size: int = 0
    clusters: tuple[int, ...] = ()
    time_mask: float = 0.0
    time_mask_span: int = 10
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lower: Sequence[int] = ()

    @property
    def all_classes(self) -> dict[str, Sequence[str]]:
        """Classes of every class field, those of emo among them."""
        return {"emo": self.labels, **self.classes}


class SERModel(nn.Module):
    """Base of all models in this folder, which are registered in MODELS by the name of their file.

    Subclasses take `(spec, upstream, **model_conf)`, set `needs` and implement `forward` and
    `predict`; they get hidden states from `self.hidden(batch)` and so work with either input. Their
    constructors ask an upstream for its sizes and mask vector alone: stages/rehearsal.py builds
    them on one that has no more.

    Attributes:
        needs: Fields of data/fields.py that training reads, and `pseudo` for frame pseudo-labels.
            Of the class, all that it can read; of a model, what it does. () trains without labels.
        solved: Whether the model is solved in one go (solve_heads) instead of trained in updates.
        least_batch: Utterances that a batch must have, and must not be cut into, for the loss.
        num_clusters: Clusters of frames that `clusters` tells apart; 0 without any.
        followers: Modules without gradient that after_step moves, as a teacher's average.
    """

    needs: tuple[str, ...] = ("emo",)
    solved = False
    least_batch = 1
    num_clusters = 0
    followers: tuple[str, ...] = ()

    @classmethod
    def statistics(cls, model_conf: dict, num_layers: int) -> tuple[str, ...]:
        """Statistics of the frames (nn/frame_statistics.py) that are all the model needs of them.

        Then stage 3 pools once, and batches have `vectors` instead of `feats`.

        Args:
            model_conf: As in the constructor.
            num_layers: Hidden states that the model reads.

        Returns:
            Names; () if it needs the frames themselves.
        """
        return ()

    def __init__(self, spec: Spec, upstream: nn.Module | None = None):
        super().__init__()
        self.spec = spec
        self.upstream = upstream
        self.frozen_modules: list[nn.Module] = []  # of init.freeze; they stay in evaluation mode
        # Of train/live_norm.py: what speakers have in common, (1, D') or with the scale (2, D'), by
        # utterance; while it looks, the pooled vectors; and what pool_once has pooled so far.
        self.shifts: dict[str, torch.Tensor] = {}
        self.collected: dict[str, torch.Tensor] | None = None
        self.pooled_before: dict[str, torch.Tensor] | None = None

    @property
    def classifies(self) -> bool:
        """Whether training says anything of whole utterances; then some head reads `centred`."""
        return bool({*self.needs} - {"text", "pseudo"})

    def train(self, mode: bool = True) -> "SERModel":
        """As in torch, but what is frozen as a whole stays in evaluation mode."""
        super().train(mode)
        for module in self.frozen_modules:
            module.eval()
        return self

    def hidden(
        self, batch, mask: tuple[torch.Tensor, torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states of the batch, (B, L, T, D), and lens (B,); mask as in Upstream.forward."""
        if batch.feats is not None and self.upstream is None:
            return batch.feats, batch.lens
        if mask is None and self.training and self.spec.time_mask:
            mask = self.time_mask(batch)
        if batch.feats is not None:
            hidden, lens = self._resumed(batch, mask)
        else:
            states, lens = self.upstream(batch.wav, batch.wav_lens, self.spec.layers, mask)
            hidden = torch.stack(states, dim=1)
        if self.spec.normalise:
            hidden = F.layer_norm(hidden, hidden.shape[-1:])
        return hidden, lens

    def _resumed(
        self, batch, mask: tuple[torch.Tensor, torch.Tensor] | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states of a batch that holds the lower ones."""
        found = {layer: batch.feats[:, i] for i, layer in enumerate(self.spec.lower)}
        first = self.spec.lower[-1]
        above = [layer for layer in self.spec.layers if layer > first]
        frames = mask[0] if mask is not None else None
        args = (found[first], batch.lens, batch.num_samples, first, above, frames)
        states, lens = self.upstream.resume(*args)
        found |= dict(zip(above, states, strict=True))
        return torch.stack([found[layer] for layer in self.spec.layers], dim=1), lens

    def centred(self, vectors: torch.Tensor, batch) -> torch.Tensor:
        """(B, D') pooled vectors without their speakers'; every classifier calls it on its own.

        They are as they were, unless speakers are normalised here: train/live_norm.py.
        """
        if self.collected is not None:
            self.collected.update(_by_utt(vectors, batch))
            return vectors
        if not self.shifts:
            return vectors
        shift = torch.stack([self.shifts[utt] for utt in batch.utt]).to(vectors.device)
        vectors = vectors - shift[:, 0]
        return vectors / shift[:, 1] if shift.shape[1] > 1 else vectors

    def time_mask(self, batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Spans of this epoch, (B, T), and what masked frames become: the encoder's mask vector.

        Zeros, (D,), where it was pre-trained without one. An encoder that goes on from a hidden
        state takes the mean of the clip's frames instead (Upstream.resume).

        Source:
            Park et al., "SpecAugment", Interspeech 2019, on frames as in wav2vec 2.0's fine-tuning.
        """
        if batch.feats is not None:
            lens = batch.lens.tolist()
        else:
            lens = [math.ceil(n / self.upstream.stride) for n in batch.wav_lens.tolist()]
        generators = [torch.Generator().manual_seed(seed) for seed in batch.seeds]
        share, span = self.spec.time_mask, self.spec.time_mask_span
        masks = span_masks(lens, max(lens), share, span, generators)
        vector = self.upstream.mask_embedding()
        if vector is None:
            vector = torch.zeros(self.spec.hidden_size)
        device = (batch.wav if batch.feats is None else batch.feats).device
        return masks.to(device), vector.to(device)

    def startable(self) -> tuple[str, ...]:
        """Tasks (class fields, vad) whose heads can start solved; see start_solved."""
        return ()

    def pool(self, batch) -> torch.Tensor:
        """(B, D') what the heads of startable() read, before `centred` and any standardising.

        Heads ask for it through pool_once.
        """
        raise NotImplementedError

    def pool_once(self, batch) -> torch.Tensor:
        """`pool`, but within `remembering` the encoder hears no utterance twice."""
        known = self.pooled_before
        if known is None or self.training:
            return self.pool(batch)
        if any(utt not in known for utt in batch.utt):
            vectors = self.pool(batch)
            known.update(_by_utt(vectors, batch))
            return vectors
        device = (batch.wav if batch.feats is None else batch.feats).device
        return torch.stack([known[utt] for utt in batch.utt]).to(device)

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """While weights rest: pooled vectors are kept, and not computed again. See pool_once."""
        self.pooled_before = {}
        try:
            yield
        finally:
            self.pooled_before = None

    def utterance_vectors(self, batch) -> torch.Tensor:
        """(B, P) what the heads read of utterances; of a phase without labels, what it makes."""
        return self.pool_once(batch)

    @property
    def start_shape(self) -> tuple[int, int]:
        """V vectors of P dimensions, with which `pool` begins, that a solved head reads."""
        raise NotImplementedError

    def start_solved(self, task: str, mean, std, weight, bias) -> None:
        """Begin as the linear map ((pooled - mean) / std) @ weight.T + bias of a task.

        Args:
            task: One of startable().
            mean, std: (V * P,); of all tasks the same.
            weight: (C, V * P).
            bias: (C,).

        Raises:
            ValueError: If the layers of the head cannot be that map.
        """
        raise NotImplementedError

    def predict(self, batch) -> dict[str, torch.Tensor]:
        """Return logits (B, C) of any class field by its name, and vad (B, 3).

        And ctc (B, T, V) log-probabilities, the padding certain blanks, which become text.
        """
        raise NotImplementedError

    def loss(self, outputs: dict[str, torch.Tensor], batch) -> tuple[torch.Tensor, dict]:
        """Return the loss (a mean) and stats.

        stats["weight"] is the weight behind the mean (see nn/losses.py); other stats are scalars
        for the log, averaged with the same weight.
        """
        raise NotImplementedError

    def forward(self, batch) -> tuple[torch.Tensor, dict]:
        """Training: loss and stats. Override where training sees something else than prediction."""
        return self.loss(self.predict(batch), batch)

    def emotion_loss(self, logits: torch.Tensor, batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and weight of `emo_loss` on (B, C) logits, of each utterance's own head."""
        own = of_own_head(logits, heads_of(self.spec.labels), batch.emo)
        return self.emo_loss.on(own, batch)

    def evaluate(self, batch) -> tuple[torch.Tensor, dict, dict[str, torch.Tensor]]:
        """Dev: loss, stats and outputs in one pass."""
        outputs = self.predict(batch)
        return *self.loss(outputs, batch), outputs

    def start_from_upstream(self, upstream: nn.Module) -> None:
        """Take weights from the encoder's own blocks; for `init: {from: upstream}`.

        Raises:
            ValueError: If the model has no blocks of that kind.
        """
        raise ValueError("this model has nothing to take from the encoder")

    def initialise(self, batches: Iterable) -> None:
        """Called once before the first update with every training utterance, in batches.

        For statistics of the training data that the model keeps as buffers.
        """
        for loss in self._class_losses():
            loss.begin()

    def after_step(self, update: int, total: int) -> None:
        """Called after each optimiser update, e.g. to move an EMA teacher."""
        for loss in self._class_losses():
            loss.after_step(update, total)

    def _class_losses(self) -> list[ClassLoss]:
        return [module for module in self.children() if isinstance(module, ClassLoss)]

    def diagnostics(self) -> dict[str, float]:
        """Called after after_step: numbers for the log's `diagnostics`, {} if none are due."""
        return {}

    def clusters(self, batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Clusters (B, T) of the frames, -1 where there is none, and the frames (B, T, D')."""
        raise NotImplementedError

    def facts(self) -> dict:
        """JSON-serialisable facts about the trained model for the report, e.g. layer weights."""
        return {}


def mask_generators(seed: int, when: int | str, utts: Sequence[str]) -> list[torch.Generator]:
    """A generator per utterance: its mask depends on nothing else that is in the batch.

    Args:
        seed: Of the model.
        when: The update, or a word for masks that stay the same.
        utts: Ids.
    """
    return [torch.Generator().manual_seed(derive_seed(seed, when, utt)) for utt in utts]


def _by_utt(vectors: torch.Tensor, batch) -> dict[str, torch.Tensor]:
    """Rows of a batch, on the CPU, which outlive it."""
    return dict(zip(batch.utt, vectors.detach().float().cpu().clone(), strict=True))
