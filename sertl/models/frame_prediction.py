# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Fine-tuning of an encoder on frame pseudo-labels, masked as in HuBERT, or not.

The second step of GMP-TL (Pan et al., SLT 2024, arXiv 2405.02151), after P-TAPT (Chen & Rudnicky,
ICASSP 2023) and HuBERT. models/gmp_tl.py takes the encoder and leaves the heads.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from sertl.errors import SertlError
from sertl.models.base import MODELS, SERModel, Spec, mask_generators
from sertl.nn.layer_mix import LayerMix
from sertl.nn.pooling import StatPooling, frame_mask, pool_views
from sertl.nn.span_mask import span_masks
from sertl.schema.strict import Share, Size, Width

REDUCTIONS = ("mean", "sum")


@MODELS.register("frame_prediction")
class FramePrediction(SERModel):
    """Cross-entropy of every label set (a layer and a number of clusters) on single frames.

    Args:
        spec: See base.Spec; `clusters` are the label sets. Several hidden states are summed with
            learned weights.
        upstream: Reads audio and takes a mask.
        mask_prob, span: See nn.span_mask, span in frames; mask_prob 0 masks nothing. A masked frame
            becomes the encoder's own mask vector where it was pre-trained with one, else a vector
            that is learned here.
        min_spans: Of an utterance that is long enough; 0 keeps the share exact however short it is.
        frames: Which count: masked or all.
        hidden: Width of the heads.
        reduce: mean or sum over label sets.
    """

    needs = ("pseudo",)

    def __init__(
        self,
        spec: Spec,
        upstream: nn.Module | None = None,
        mask_prob: Share = 0.8,
        span: Size = 10,
        min_spans: Width = 0,
        frames: Literal["masked", "all"] = "masked",
        hidden: Width = 256,
        reduce: Literal["mean", "sum"] = "mean",
    ):
        super().__init__(spec, upstream)
        if upstream is None:
            raise ValueError("frame labels train the encoder, which needs the audio: input: wav")
        if frames == "masked" and mask_prob == 0.0:
            raise ValueError("frames: masked with mask_prob 0 leaves nothing to predict")
        self.mask_prob, self.span, self.min_spans = mask_prob, span, min_spans
        self.frames, self.reduce = frames, reduce
        self.mix = LayerMix(len(spec.layers))
        self.frame_heads = FrameHeads(spec.hidden_size, spec.clusters, hidden)
        self.mask_vector = None
        if mask_prob:
            own = upstream.mask_embedding()
            start = torch.empty(spec.hidden_size).uniform_() if own is None else own.detach()
            self.mask_vector = nn.Parameter(start.clone())
        # A mask follows from this seed, the update and the utterance: neither a resume nor the
        # way a batch is cut changes it.
        self.register_buffer("mask_seed", torch.randint(2**62, ()))
        self.register_buffer("updates_done", torch.zeros((), dtype=torch.int64))

    def initialise(self, batches: Iterable) -> None:
        """Count updates anew, whatever the phase that the weights come from did."""
        self.updates_done.zero_()

    def draw_mask(self, batch, lens: torch.Tensor) -> torch.Tensor:
        """(B, T) bool; on dev an utterance's mask is always the same."""
        when = int(self.updates_done) if self.training else "dev"
        generators = mask_generators(int(self.mask_seed), when, batch.utt)
        longest = batch.pseudo.shape[2]
        masks = span_masks(
            lens.tolist(), longest, self.mask_prob, self.span, generators, self.min_spans
        )
        return masks.to(lens.device)

    def forward(self, batch) -> tuple[torch.Tensor, dict]:
        """Loss and stats; their weight is the number of frames that count."""
        labels, mask = batch.pseudo, None  # (B, J, T)
        lens = (labels[:, 0] >= 0).sum(dim=1)  # (B,)
        if self.mask_vector is not None:
            masked = self.draw_mask(batch, lens)  # (B, T)
            mask = (masked, self.mask_vector)
            if self.frames == "masked":
                labels = labels.masked_fill(~masked[:, None], -1)
        hidden, found = self.hidden(batch, mask)
        labels = fit_labels(labels, lens, found, batch.utt)
        counted = labels[:, 0] >= 0  # (B, T)
        logits = self.frame_heads(self.mix(hidden)[counted])  # J x (N, K_j)
        targets = labels.transpose(1, 2)[counted]  # (N, J)
        loss, weight = frame_cross_entropy(logits, targets, self.reduce)
        right = [(own.argmax(dim=1) == t).sum() for own, t in zip(logits, targets.T, strict=True)]
        accuracy = torch.stack(right).float().mean() / weight.clamp_min(1.0)
        return loss, {"frame_acc": accuracy, "weight": weight}

    def utterance_vectors(self, batch) -> torch.Tensor:
        """(B, L * 2 D) means and deviations of the encoder's layers, nothing masked."""
        return pool_views(StatPooling(self.spec.hidden_size), None, *self.hidden(batch)).flatten(1)

    def predict(self, batch) -> dict[str, torch.Tensor]:
        """Nothing about utterances."""
        return {}

    def evaluate(self, batch) -> tuple[torch.Tensor, dict, dict[str, torch.Tensor]]:
        """Loss and stats of held-out speech."""
        return *self.forward(batch), {}

    def after_step(self, update: int, total: int) -> None:
        """Other masks in the next update."""
        self.updates_done.fill_(update)


def fit_labels(
    labels: torch.Tensor, lens: torch.Tensor, found: torch.Tensor, utts: list[str]
) -> torch.Tensor:
    """Bring labels to the encoder's numbers of frames, which may differ by one where audio was cut.

    Args:
        labels: (B, J, T) with -1 for frames that do not count.
        lens: (B,) labels of each utterance.
        found: (B,) frames that the encoder made of it.
        utts: For the error.

    Returns:
        (B, J, max(found)); a frame beyond the labels gets -1, a label beyond the frames is cut.

    Raises:
        SertlError: If the numbers differ by more: the labels are of another encoder or other audio.
    """
    for utt, labelled, frames in zip(utts, lens.tolist(), found.tolist(), strict=True):
        if abs(labelled - frames) > 1:
            raise SertlError(
                f"utterance {utt} has {labelled} frame labels, but {frames} frames: the labels are "
                "not of this encoder's frames, or the audio has changed; redo stage 5"
            )
    longest = int(found.max())
    fitted = F.pad(labels, (0, max(0, longest - labels.shape[2])), value=-1)[:, :, :longest]
    return fitted.masked_fill(~frame_mask(found, longest)[:, None], -1)


class FrameHeads(nn.Module):
    """A head for each label set: Linear(D, hidden), tanh, Linear(hidden, K_j).

    Args:
        input_size: D.
        clusters: K_j of each of J label sets.
        hidden: Width of the hidden layers.

    Source:
        Chen & Rudnicky, "P-TAPT", ICASSP 2023, and its code.
    """

    def __init__(self, input_size: int, clusters: Sequence[int], hidden: int = 256):
        super().__init__()
        if not clusters:
            raise ValueError("frame heads need at least one label set")
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(input_size, hidden), nn.Tanh(), nn.Linear(hidden, number))
            for number in clusters
        )

    def forward(self, frames: torch.Tensor) -> list[torch.Tensor]:
        """(N, D) -> J tensors (N, K_j)."""
        return [head(frames) for head in self.heads]


def frame_cross_entropy(
    logits: Sequence[torch.Tensor], labels: torch.Tensor, reduce: str = "mean"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of frames, averaged over them; over heads averaged or added.

    The mean over heads keeps gradient clipping independent of their number; P-TAPT adds.

    Args:
        logits: J tensors (N, K_j), of the frames that count.
        labels: (N, J) int64.
        reduce: mean or sum, over heads.

    Returns:
        The loss (0 without frames) and the number of frames, see nn.losses.
    """
    if reduce not in REDUCTIONS:
        raise ValueError(f"reduce is '{reduce}', expected one of {REDUCTIONS}")
    totals = [
        F.cross_entropy(own.float(), target, reduction="sum")
        for own, target in zip(logits, labels.T, strict=True)
    ]
    total = torch.stack(totals).sum() / (len(totals) if reduce == "mean" else 1)
    return total / max(1, len(labels)), torch.tensor(float(len(labels)), device=labels.device)
