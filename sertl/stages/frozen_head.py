# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a phase without labels is worth while it trains: a head solved on its frozen output.

Each time the phase looks at dev, a regression is solved on the vectors of the fold's labelled
training set and scored on its dev set, or on the group of speakers that a training leaves out, who
are not in it then. Speakers are normalised as a phase that classifies would: in these vectors, or
in dumped frames. No gradient comes of it. It chooses lambda where there are several
(train/kept_share.py), and else nothing; the report draws the curve.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from sertl.data.batching import ordered_batches
from sertl.data.datadir import DataDir
from sertl.data.dataset import UttDataset
from sertl.data.folds import FoldDir
from sertl.data.own_classes import heads_of
from sertl.data.speaker_groups import divided
from sertl.data.speaker_norm import SpeakerNorm, fit_speaker_norm, without_speakers
from sertl.errors import SertlError
from sertl.models.base import SERModel
from sertl.nn.own_heads import log_probs, of_own_head
from sertl.score import metrics
from sertl.solve.linear_problem import LinearProblem
from sertl.stages.phase import OpenPhase

STRENGTH = 0.01  # C; findings on small corpora: flat from 0.001 to 0.1


class FrozenHead:
    """Judges a model's `utterance_vectors`.

    Args:
        opened: The phase.
        train: The fold's training set, with labels.
        dev: Its dev set.
        norm: How speakers are normalised in dumped frames; None: not there.
    """

    def __init__(
        self, opened: OpenPhase, train: DataDir, dev: DataDir, norm: SpeakerNorm | None = None
    ):
        self.data_conf = opened.phase["data_conf"]
        self.labels, self.seed = train.labels, opened.run.seed
        self.sets = [opened.dataset(part) for part in (train, dev)]
        for data in self.sets:
            data.normalise_speakers(norm, self.seed)

    @torch.no_grad()
    def judge(
        self, model: SERModel, device: torch.device, dtype: torch.dtype | None
    ) -> dict[str, float]:
        """UA and balanced cross-entropy on dev."""
        model.eval()
        rows = [[i for i, c in enumerate(data.emo) if c >= 0] for data in self.sets]
        vectors, held = self._labelled(model, rows, device, dtype)
        classes, wanted = (
            torch.tensor([data.emo[i] for i in own])
            for data, own in zip(self.sets, rows, strict=True)
        )
        problem = LinearProblem(vectors, device)
        heads = heads_of(self.labels)
        ((solved,),) = problem.logistic(
            classes.to(device), len(self.labels), [STRENGTH], heads=heads
        )
        weight, bias = problem.on_vectors(solved)
        standard = (held.to(device, torch.float64) - problem.mean) / problem.std
        logs = log_probs(standard @ weight.T + bias, heads).cpu()
        logs, ref = of_own_head(logs, heads, wanted).numpy(), wanted.numpy()
        confusion = metrics.confusion_matrix(ref, logs.argmax(axis=1), len(self.labels))
        return {"ua": float(metrics.ua(confusion)), "loss": metrics.balanced_loss(logs, ref)}

    def _labelled(
        self,
        model: SERModel,
        rows: list[list[int]],
        device: torch.device,
        dtype: torch.dtype | None,
    ) -> list[torch.Tensor]:
        """(N, P) vectors of these rows of each set, without their speakers'."""
        conf, sets = self.data_conf["speaker_norm"], self.sets
        if sets[0].normalised or conf["mode"] == "none":
            both = zip(sets, rows, strict=True)
            return [self._vectors(model, data, own, device, dtype) for data, own in both]
        # Speakers are known by all their clips, labelled or not.
        heard = [self._vectors(model, data, range(len(data)), device, dtype) for data in sets]
        norm = fit_speaker_norm(heard[0], [u.spk for u in sets[0].utts], conf)
        return [
            without_speakers(vectors, data.utts, norm, self.seed)[own]
            for vectors, data, own in zip(heard, sets, rows, strict=True)
        ]

    def _vectors(
        self,
        model: SERModel,
        data: UttDataset,
        rows: Sequence[int],
        device: torch.device,
        dtype: torch.dtype | None,
    ) -> torch.Tensor:
        """(len(rows), P) vectors of these utterances."""
        found: dict[int, torch.Tensor] = {}
        size, sec = self.data_conf["batch_size"], self.data_conf["batch_sec"]
        for indices in ordered_batches(rows, data.durs_sec, size, sec):
            batch = data.batch(indices).to(device)
            with torch.autocast(device.type, dtype, enabled=dtype is not None):
                vectors = model.utterance_vectors(batch).float().cpu()
            found.update(zip(indices, vectors, strict=True))
        return torch.stack([found[row] for row in rows])


def frozen_head(
    opened: OpenPhase, model: SERModel, norm: SpeakerNorm | None, held_out: DataDir | None = None
) -> FrozenHead | None:
    """A judge for a phase that reads no emotions; None where it does, or nobody's are known.

    Args:
        opened: The phase.
        model: Its model.
        norm: How speakers are normalised in dumped frames.
        held_out: Of whose speakers the judge is to be; None: of the fold's dev set.

    Raises:
        SertlError: If emotions are known, but of nobody held out, or of nobody else.
    """
    if "emo" in model.needs or type(model).utterance_vectors is SERModel.utterance_vectors:
        return None
    fold = FoldDir(Path(opened.conf["data"]), opened.run.fold)
    if not fold.has("dev"):
        return None
    parts = fold.part("train"), fold.part("dev")
    if not _have_emotions(*parts):
        return None
    if held_out is not None:
        train, dev = parts
        everything = replace(train, utts={**train.utts, **dev.utts})
        parts = divided(everything, {u.spk for u in held_out.utts.values()})
        if not _have_emotions(*parts):
            raise SertlError(
                f"phase {opened.phase['name']}, select_conf.folds: the emotions of a group of "
                "speakers, or of all others, are not known, and the group cannot say what the "
                "phase is worth; train on the fold's own speech, or without groups"
            )
    return FrozenHead(opened, *parts, norm)


def _have_emotions(*parts: DataDir) -> bool:
    return all(any(u.emo for u in part.utts.values()) for part in parts)
