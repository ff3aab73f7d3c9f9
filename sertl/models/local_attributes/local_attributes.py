# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Training of a WAP adapter without labels, on local attributes found in the teacher's frames.

The student sees masked features; the teacher, its moving average, sees them whole. The teacher's
frames, normalised over each utterance, are clustered as training goes; the student predicts the
cluster of what was masked, and the teacher's frames themselves. models/wap.py takes the result.

Song et al., 2025, arXiv 2509.23795; the clustering is that of DinoSR (Liu et al., NeurIPS 2023).
What the paper leaves open is our choice and can be set.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from sertl.cluster.frames import FrameSample
from sertl.cluster.kmeans import learn
from sertl.errors import SertlError
from sertl.models.base import MODELS, SERModel, Spec, mask_generators
from sertl.models.local_attributes import target_diagnostics
from sertl.models.local_attributes.distillation import DISTILLATIONS, SoftAttributes
from sertl.models.local_attributes.ema import ema_copy, ema_update, momenta_for, momentum_at
from sertl.models.local_attributes.online_clusters import OnlineClusters
from sertl.models.local_attributes.target_norms import TARGET_NORMS, CorpusNorm
from sertl.models.local_attributes.utterance_target import UtteranceTarget
from sertl.nn.layer_mix import LayerMix
from sertl.nn.pooling import StatPooling, frame_mask
from sertl.nn.span_mask import span_masks
from sertl.nn.wap_transformer import (
    WapTransformer,
    adapter_input,
    check_continues,
    check_reads,
)
from sertl.registry import check_keys
from sertl.schema.strict import Count, Number, Options, Positive, Share, Size, Two, Width
from sertl.seed import derive_seed

logger = logging.getLogger(__name__)

GRACE = 0.1  # share of all updates in which centroids may still be finding their frames


@MODELS.register("local_attributes")
class LocalAttributes(SERModel):
    """Loss: cross-entropy of the masked frames' clusters + distil_weight * distillation.

    Args:
        spec: See base.Spec. What enters the adapter is the mean of the hidden states, each
            layer-normalised.
        upstream: For input `wav`, else None.
        wap: Arguments of nn.WapTransformer.
        reads: Number of the one hidden state that enters it as it is, instead of the mean.
        mask_prob, span: See nn.span_mask; span in frames.
        centroids: K.
        clusters: online follows the teacher's frames as training goes; offline is k-means on the
            input frames before the first update, for good.
        cluster_decay, cluster_patience: See OnlineClusters.
        codebook: Where online centroids start: frames, k-means of the teacher's first frames; or
            noise.
        target_norm: How the teacher's frames get zero mean and unit variance before clustering and
            regression: utterance, frame or corpus (target_norms.py).
        update_on: Frames that move the centroids: all or masked.
        mask_loss: False trains by distillation alone; frames are masked all the same.
        distil: regress, soft (see distillation.py) or none.
        distil_on: Frames of the distillation: all or masked.
        distil_weight: lambda.
        utterance_weight: Of the loss of the utterance's own target (utterance_target.py); 0 for
            none.
        momentum: Of the teacher, at the first update and after momentum_updates; None takes values
            that fit the number of updates (ema.momenta_for).
        momentum_updates: Updates over which it rises, at most all.
        student_temperature, teacher_temperatures: See SoftAttributes.
    """

    needs = ()
    followers = ("teacher",)

    def __init__(
        self,
        spec: Spec,
        upstream: nn.Module | None = None,
        wap: Options | None = None,
        mask_prob: Annotated[float, Field(gt=0.0, le=1.0)] = 0.8,
        span: Size = 10,
        centroids: Size = 256,
        clusters: Literal["online", "offline"] = "online",
        cluster_decay: Share = 0.9,
        target_norm: Literal["utterance", "frame", "corpus"] = "utterance",
        update_on: Literal["all", "masked"] = "all",
        mask_loss: bool = True,
        distil: Literal["regress", "soft", "none"] = "regress",
        distil_on: Literal["all", "masked"] = "all",
        distil_weight: Number = 1.0,
        momentum: Annotated[Sequence[Share], Two] | None = None,
        momentum_updates: Count = 30_000,
        student_temperature: Positive = 0.1,
        teacher_temperatures: Annotated[Sequence[Positive], Two] = (0.04, 0.07),
        cluster_patience: Count = 50,
        codebook: Literal["frames", "noise"] = "frames",
        utterance_weight: Number = 0.0,
        reads: Width | None = None,
    ):
        super().__init__(spec, upstream)
        if distil == "none" and not mask_loss:
            raise ValueError("distil: none and mask_loss: false leave nothing to learn")
        size = spec.hidden_size
        self.num_clusters = centroids
        self.mask_prob, self.span = mask_prob, span
        self.update_on, self.distil_on, self.distil_weight = update_on, distil_on, distil_weight
        self.momentum = None if momentum is None else tuple(momentum)
        self.momentum_updates = momentum_updates
        self.codebook = codebook
        check_reads(spec, reads)
        self.reads = reads
        self.mix = LayerMix(len(spec.layers)).requires_grad_(False)
        check_keys(WapTransformer, wap or {}, 1, "wap")
        self.student = WapTransformer(size, **(wap or {}))
        self.teacher = ema_copy(self.student)
        self.mask_vector = nn.Parameter(torch.empty(size).uniform_())
        size = self.student.output_size
        self.offline = clusters == "offline"
        self._targets(size, target_norm, cluster_decay, cluster_patience)
        self.utterance = UtteranceTarget(size, utterance_weight) if utterance_weight else None
        self.classify = nn.Linear(size, centroids) if mask_loss else None
        kind, self.distil = DISTILLATIONS[distil], None
        if kind is not None:
            soft = (centroids, student_temperature, teacher_temperatures)
            self.distil = kind(size, *(soft if kind is SoftAttributes else ()))
        self.window = target_diagnostics.Window(size, centroids)
        # A mask follows from this seed, the update and the utterance: neither a resume nor the
        # way a batch is cut changes it.
        self.register_buffer("mask_seed", torch.randint(2**62, ()))
        self.register_buffer("updates_done", torch.zeros((), dtype=torch.int64))
        self.register_buffer("updates_total", torch.ones((), dtype=torch.int64))
        self._diagnostics: dict[str, float] = {}

    def _targets(self, size: int, target_norm: str, decay: float, patience: int) -> None:
        """Norms and centroids of the targets, of frames (…, size) of the teacher."""
        clustered = self.spec.hidden_size if self.offline else size
        norm = TARGET_NORMS[target_norm]
        self.target_norm = norm(size) if norm is CorpusNorm else norm()
        # Frames that are clustered once, before training, have a norm of their own.
        self.input_norm = norm(clustered) if norm is CorpusNorm else norm()
        self.online_clusters = OnlineClusters(clustered, self.num_clusters, decay, patience)

    def train(self, mode: bool = True) -> "LocalAttributes":
        """The teacher stays in evaluation mode, and so does the norm of frames clustered once."""
        super().train(mode)
        self.teacher.eval()
        self.input_norm.eval()
        return self

    def start_from_upstream(self, upstream: nn.Module) -> None:
        """Start student and teacher from the encoder's last blocks."""
        check_continues(self.student, self.spec, self.reads, upstream.num_layers)
        self.student.copy_blocks(upstream.blocks())
        self.teacher.load_state_dict(self.student.state_dict())

    def draw_mask(self, batch, lens: torch.Tensor, max_len: int) -> torch.Tensor:
        """(B, T) bool; on dev an utterance's mask is always the same."""
        when = int(self.updates_done) if self.training else "dev"
        generators = mask_generators(int(self.mask_seed), when, batch.utt)
        masks = span_masks(lens.tolist(), max_len, self.mask_prob, self.span, generators)
        return masks.to(lens.device)

    @torch.no_grad()
    def targets(
        self, frames: torch.Tensor, lens: torch.Tensor, valid: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The teacher's view, in float32.

        Args:
            frames: (B, T, D), not masked.
            lens: (B,).
            valid: (B, T) bool, the frames that count, N of them.

        Returns:
            Raw frames (B, T, D), normed frames (N, D), their centroids (N,).
        """
        with torch.autocast(frames.device.type, enabled=False):
            raw = self.teacher(frames, lens)
            normed = self.target_norm(raw.masked_fill(~valid[:, :, None], 0.0), valid)[valid]
            clustered = self.input_norm(frames, valid)[valid] if self.offline else normed
            return raw, normed, self.online_clusters(clustered)

    def frames(self, batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Input frames (B, T, D) in float32, lens (B,), and which frames count (B, T)."""
        hidden, lens = self.hidden(batch)
        with torch.autocast(hidden.device.type, enabled=False):  # targets are made in float32
            frames = adapter_input(hidden.float(), self.mix, self.spec, self.reads)
        frames = frames.masked_fill(~frame_mask(lens, frames.shape[1])[:, :, None], 0.0)
        # An utterance of one frame has no variance to normalise by.
        return frames, lens, frame_mask(lens, frames.shape[1]) & (lens >= 2)[:, None]

    def initialise(self, batches: Iterable) -> None:
        """Count updates anew; find where centroids start.

        A sample of the frames, by k-means: of the input frames, where clusters are offline, else of
        the teacher's, as they are before the first update.

        Raises:
            SertlError: If there are fewer frames than centroids.
        """
        self.updates_done.zero_()
        if not self.offline and self.codebook == "noise":
            return
        seed = derive_seed(int(self.mask_seed), "k-means")
        sample = FrameSample(seed)
        norm = self.input_norm if self.offline else self.target_norm
        for batch in batches:
            frames, lens, valid = self.frames(batch)
            found = frames if self.offline else self.teacher(frames, lens)
            found = found.float().masked_fill(~valid[:, :, None], 0.0)
            sample.add((found if isinstance(norm, CorpusNorm) else norm(found, valid))[valid])
        if isinstance(norm, CorpusNorm):
            sample.change(norm.fit)
        centroids, _ = learn(sample, len(self.online_clusters.counts), seed, restarts=3, passes=20)
        self.online_clusters.set(torch.from_numpy(centroids))

    def forward(self, batch) -> tuple[torch.Tensor, dict]:
        """Loss and stats; their weight is the number of frames that count.

        The mask loss is a mean over masked frames: of a batch that is cut, pieces with fewer
        masked frames than others weigh as much for their length.
        """
        frames, lens, valid = self.frames(batch)
        masked = self.draw_mask(batch, lens, frames.shape[1]) & valid
        raw, normed, labels = self.targets(frames, lens, valid)
        seen = torch.where(masked[:, :, None], self.mask_vector.to(frames.dtype), frames)
        student = self.student(seen, lens)[valid]  # (N, D)
        of_valid = masked[valid]  # (N,)

        sums = target_diagnostics.measure(raw, valid, labels, len(self.online_clusters.counts))
        loss, stats = student.sum() * 0.0, {}
        if self.classify is not None:
            logits = self.classify(student[of_valid]).float()  # (M, K)
            total = F.cross_entropy(logits, labels[of_valid], reduction="sum")
            stats["loss_mask"] = total / max(1, len(logits))
            target_diagnostics.measure_prediction(sums, logits, labels[of_valid])
            loss = loss + stats["loss_mask"]
        if self.distil is not None:
            kept = of_valid if self.distil_on == "masked" else torch.ones_like(of_valid)
            progress = float(self.updates_done / self.updates_total)
            stats["loss_distil"] = self.distil(
                student[kept], raw[valid][kept], normed[kept], progress
            )
            loss = loss + self.distil_weight * stats["loss_distil"]
        if self.utterance is not None:
            stats["loss_utterance"] = self.utterance(student, raw, valid)
            loss = loss + self.utterance.weight * stats["loss_utterance"]
        if self.training:
            if not self.offline:
                kept = of_valid if self.update_on == "masked" else torch.ones_like(of_valid)
                self.online_clusters.add(normed[kept], labels[kept])
            self.window.add(sums)
        stats = {name: value.detach() for name, value in stats.items()}
        weight = torch.tensor(float(len(student)), device=frames.device)
        return loss, {**stats, **target_diagnostics.figures(sums), "weight": weight}

    @torch.no_grad()
    def clusters(self, batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Local attributes (B, T), -1 at padding, and the teacher's frames (B, T, D')."""
        frames, lens, valid = self.frames(batch)
        raw, _, labels = self.targets(frames, lens, valid)
        found = torch.full(valid.shape, -1, device=labels.device)
        found[valid] = labels
        return found, raw

    def utterance_vectors(self, batch) -> torch.Tensor:
        """(B, 2 D') mean and deviation of the teacher's frames."""
        frames, lens, _ = self.frames(batch)
        pooling = StatPooling(self.student.output_size)
        return pooling(self.teacher(frames, lens), lens)

    def predict(self, batch) -> dict[str, torch.Tensor]:
        """Nothing about utterances."""
        return {}

    def evaluate(self, batch) -> tuple[torch.Tensor, dict, dict[str, torch.Tensor]]:
        """Loss and stats of held-out speech; moves nothing in evaluation mode."""
        return *self.forward(batch), {}

    @torch.no_grad()
    def after_step(self, update: int, total: int) -> None:
        """Move teacher and centroids; look at the targets.

        Raises:
            SertlError: If the targets have collapsed.
        """
        self.updates_done.fill_(update)
        self.updates_total.fill_(total)
        if self.momentum is None:
            momentum = momentum_at(update, total, *momenta_for(total), total)
        else:
            momentum = momentum_at(update, total, *self.momentum, self.momentum_updates)
        ema_update(self.teacher, self.student, momentum)
        if self.distil is not None:
            self.distil.after_step(momentum)
        if not self.offline:
            self.online_clusters.update()
            self.target_norm.after_step()
        if self.utterance is not None:
            self.utterance.after_step()
        self._diagnostics = self.window.after_step()
        if self._diagnostics:
            self._diagnostics["ema_decay"] = momentum
            self._check(self._diagnostics, update, total)

    def _check(self, found_now: dict[str, float], update: int, total: int) -> None:
        """Warn of, or stop at, collapsing targets (thresholds are ours)."""
        number = len(self.online_clusters.counts)
        spreads = ("teacher_spread", "teacher_utt_spread")
        found = {name: (found_now[name], 0.1, 0.01) for name in spreads}
        if self.classify is not None and update > GRACE * total:
            found["perplexity"] = (found_now["perplexity"], 0.1 * number, 2.0)
        for name, (value, warn, stop) in found.items():
            words = f"{name} of the targets is {value:.3g} at update {update}"
            if value < stop:
                raise SertlError(
                    f"{words}, below {stop:g}: they have collapsed. Raise model_conf.momentum, "
                    "lower optim_conf.lr, or try other model_conf.centroids or cluster_decay"
                )
            if value < warn:
                logger.warning("%s, below %g: they may be collapsing", words, warn)

    def diagnostics(self) -> dict[str, float]:
        """Of the targets over the window that the last update ended, {} if it ended none."""
        return self._diagnostics

    def facts(self) -> dict:
        """Weights of the teacher's blocks, and the latest diagnostics of the targets."""
        weights = [round(w, 4) for w in self.teacher.mix.weights().tolist()]
        latest = {name: round(value, 4) for name, value in self.window.figures().items()}
        return {"wap_weights": weights, "target_diagnostics": latest}
