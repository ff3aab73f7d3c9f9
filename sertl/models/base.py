# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What every model shares: hidden states from the arks or from a live upstream, one interface."""

import importlib
import inspect
import math
import pkgutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from sertl.errors import SertlError, unknown_name
from sertl.nn.masking import span_masks
from sertl.seed import derive_seed


@dataclass(frozen=True)
class Spec:
    """What a model is built for.

    Attributes:
        labels: Emotion classes in index order.
        hidden_size: D of the hidden states.
        layers: Indices of the hidden states that the model gets, L of them.
        normalise: Layer-normalise the hidden states (dumped ones come normalised).
        class_weights: Of the emotion loss, one per class (data_conf.class_weights), or None.
        vad_range: Lowest and highest value of the corpus's V/A/D scale, if it has one.
        vocab_size: Of the tokenizer, blank included; 0 without transcripts.
        clusters: K of each set of frame pseudo-labels; empty without any.
        time_mask, time_mask_span: Share of the frames entering the encoder's blocks that training
            masks, and frames per span (data_conf).
        genders, styles: Indices in data.dataset's GENDERS and STYLES that the training data have.
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
    genders: tuple[int, ...] = (0, 1)
    styles: tuple[int, ...] = (0, 1, 2, 3)


class SERModel(nn.Module):
    """Base of all models in this folder; a file's model is its class named `Model`.

    Subclasses take `(spec, upstream, **model_conf)`, set `needs` and implement `forward` and
    `predict`; they get hidden states from `self.hidden(batch)` and so work with either input.

    Attributes:
        needs: Fields of Batch that training reads beside the hidden states.
        least_batch: Utterances that a batch must have, and must not be cut into, for the loss.
        num_attributes: Clusters of frames that `attributes` tells apart; 0 without any.
    """

    needs: tuple[str, ...] = ("emo",)
    least_batch = 1
    num_attributes = 0

    def __init__(self, spec: Spec, upstream: nn.Module | None = None):
        super().__init__()
        self.spec = spec
        self.upstream = upstream

    def hidden(
        self, batch, mask: tuple[torch.Tensor, torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states of the batch, (B, L, T, D), and lens (B,); mask as in Upstream.forward."""
        if batch.feats is not None:
            return batch.feats, batch.lens
        if mask is None and self.training and self.spec.time_mask:
            mask = self.time_mask(batch)
        states, lens = self.upstream(batch.wav, batch.wav_lens, self.spec.layers, mask)
        hidden = torch.stack(states, dim=1)
        if self.spec.normalise:
            hidden = F.layer_norm(hidden, hidden.shape[-1:])
        return hidden, lens

    def time_mask(self, batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Spans of this epoch, (B, T), and what masked frames become: the encoder's mask vector.

        Zeros, (D,), where it was pre-trained without one.

        Source:
            Park et al., "SpecAugment", Interspeech 2019, on frames as in wav2vec 2.0's fine-tuning.
        """
        lens = [math.ceil(n / self.upstream.stride) for n in batch.wav_lens.tolist()]
        generators = [torch.Generator().manual_seed(seed) for seed in batch.seeds]
        masks = span_masks(
            lens, max(lens), self.spec.time_mask, self.spec.time_mask_span, generators
        )
        vector = self.upstream.mask_embedding()
        if vector is None:
            vector = torch.zeros(self.spec.hidden_size)
        return masks.to(batch.wav.device), vector.to(batch.wav.device)

    def predict(self, batch) -> dict[str, torch.Tensor]:
        """Return any of: emo (B, C) logits, gender (B, 2), style (B, 4) logits, vad (B, 3).

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

    def evaluate(self, batch) -> tuple[torch.Tensor, dict, dict[str, torch.Tensor]]:
        """Dev: loss, stats and outputs in one pass."""
        outputs = self.predict(batch)
        return *self.loss(outputs, batch), outputs

    def start_from_upstream(self, upstream: nn.Module) -> None:
        """Take weights from the encoder's own blocks; for `init: upstream`.

        Raises:
            ValueError: If the model has no blocks of that kind.
        """
        raise ValueError("this model has nothing to take from the encoder")

    def initialise(self, batches: Iterable) -> None:
        """Called once before the first update with every training utterance, in batches.

        For statistics of the training data that the model keeps as buffers.
        """

    def after_step(self, update: int, total: int) -> None:
        """Called after each optimiser update, e.g. to move an EMA teacher."""

    def health(self) -> dict[str, float]:
        """Called after after_step: numbers for the log's `health` entries, {} if none are due."""
        return {}

    def attributes(self, batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Clusters (B, T) of the frames, -1 where there is none, and the frames (B, T, D')."""
        raise NotImplementedError

    def insight(self) -> dict:
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


def known_models() -> list[str]:
    """Names of the model files in this folder."""
    package = importlib.import_module("sertl.models")
    return [m.name for m in pkgutil.iter_modules(package.__path__) if m.name != "base"]


def model_class(name: str) -> type[SERModel]:
    """The class `Model` of sertl/models/<name>.py.

    Raises:
        SertlError: Unknown model.
    """
    if name not in known_models():
        raise unknown_name("model", name, known_models())
    return importlib.import_module(f"sertl.models.{name}").Model


def model_needs(name: str) -> tuple[str, ...]:
    """Fields of Batch that a model can read; () for one that trains without labels."""
    return model_class(name).needs


def build_model(name: str, spec: Spec, upstream: nn.Module | None, model_conf: dict) -> SERModel:
    """Build sertl/models/<name>.py's Model.

    Raises:
        SertlError: Unknown model, unknown key in model_conf, or a value the model refuses.
    """
    model = model_class(name)
    allowed = list(inspect.signature(model).parameters)[2:]
    for key in model_conf:
        if key not in allowed:
            raise unknown_name(f"key in model_conf of model {name}:", key, allowed)
    try:
        return model(spec, upstream, **model_conf)
    except (ValueError, TypeError) as error:
        raise SertlError(f"model {name} with model_conf {model_conf}: {error}") from error
