# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""One trained model, with what it needs to hear audio: its encoder, its memory of speakers."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from sertl.data.batch import Batch
from sertl.data.speaker_norm import SpeakerMemory
from sertl.models.base import MODELS
from sertl.nn.frame_statistics import pool_frames
from sertl.train.ctc_text import to_text
from sertl.train.settings import AUTOCAST
from sertl.train.trained import Trained
from sertl.upstream.build import build_upstream


@dataclass(frozen=True)
class Question:
    """Clips to predict together.

    Attributes:
        wavs: B tensors (N_b,) float32 at 16 kHz, where the models are.
        speakers: B names, None where nobody is named.
        vectors: Whether utterance vectors are wanted: what the model's head reads.
        remember: Whether the clips count among what is known of their speakers from now on.
    """

    wavs: Sequence[torch.Tensor]
    speakers: Sequence[str | None]
    vectors: bool = False
    remember: bool = True


@dataclass
class Member:
    """A trained model with what it needs to hear audio.

    Attributes:
        trained: The model.
        encoder: Runs before it where it reads features; None where it hears audio itself.
        statistics: Of frames, that it reads instead of these.
        speakers: What it remembers of speakers, if it normalises them.
    """

    trained: Trained
    encoder: torch.nn.Module | None
    statistics: tuple[str, ...]
    speakers: SpeakerMemory | None

    @property
    def rounded_to(self) -> torch.dtype | None:
        """The 16 bits that training, or else the encoder, computed in; None for float32."""
        encoder = torch.bfloat16 if self.trained.upstream["dtype"] == "bf16" else None
        return AUTOCAST[self.trained.phase["optim_conf"]["autocast"]] or encoder

    def answer(
        self, ask: Question, shared: dict[tuple, Batch], rounds: bool = True
    ) -> list[dict[str, torch.Tensor | str]]:
        """Outputs for each clip, on the CPU.

        Args:
            ask: The clips.
            shared: What several members read alike, by what it is; filled in.
            rounds: Whether products are rounded as they were in training.
        """
        trained, model = self.trained, self.trained.model
        spec, wavs = trained.spec, ask.wavs
        hearing = model.upstream if self.encoder is None else self.encoder
        hearing.bf16 = rounds and trained.upstream["dtype"] == "bf16"
        reads = (id(self.encoder), *spec.layers, spec.normalise, self.statistics)
        if self.encoder is None or reads not in shared:
            shared[reads] = self._batch(wavs)
        batch = replace(shared[reads])
        dtype = AUTOCAST[trained.phase["optim_conf"]["autocast"]] if rounds else None
        rounding = torch.autocast(wavs[0].device.type, dtype, enabled=dtype is not None)
        with rounding, nullcontext() if self.statistics else model.remembering():
            self._normalise(batch, ask)
            out = model.predict(batch)
            if ask.vectors:
                out["vector"] = model.centred(model.utterance_vectors(batch), batch)
        if "ctc" in out:
            out["text"] = to_text(out.pop("ctc"), trained.tokenizer)
        return [
            {n: v[i] if n == "text" else v[i].float().cpu() for n, v in out.items()}
            for i in range(len(wavs))
        ]

    def _batch(self, wavs: Sequence[torch.Tensor]) -> Batch:
        names = [str(i) for i in range(len(wavs))]
        wav = pad_sequence(list(wavs), batch_first=True)
        lens = torch.tensor([len(w) for w in wavs], device=wav.device)
        if self.encoder is None:
            return Batch(utt=names, wav=wav, wav_lens=lens)
        spec = self.trained.spec
        states, frames = self.encoder(wav, lens, spec.layers)
        hidden = torch.stack(states, dim=1)
        if spec.normalise:
            hidden = F.layer_norm(hidden, hidden.shape[-1:])
        if not self.statistics:
            return Batch(utt=names, feats=hidden, lens=frames)
        rows = zip(hidden, frames.tolist(), strict=True)
        vectors = [pool_frames(clip[:, :n], self.statistics) for clip, n in rows]
        return Batch(utt=names, vectors=torch.stack(vectors))

    def _normalise(self, batch: Batch, ask: Question) -> None:
        """Take out of the batch, or of the model's pooled vectors, what speakers have in common."""
        if self.speakers is None:
            return
        model, inside = self.trained.model, self.speakers.norm.inside
        if batch.vectors is not None:
            vectors = batch.vectors
        elif not inside:
            rows = zip(batch.feats, batch.lens.tolist(), strict=True)
            vectors = torch.stack([clip[:, :n].mean(dim=1) for clip, n in rows])
        else:
            model.shifts, model.collected = {}, {}
            model.predict(batch)
            vectors = torch.stack([model.collected[utt] for utt in batch.utt])
            model.collected = None
        shift, scale = self.speakers.next(vectors.float().cpu(), ask.speakers, ask.remember)
        if inside:
            rows = shift[:, None] if scale is None else torch.stack([shift, scale], dim=1)
            model.shifts = dict(zip(batch.utt, rows, strict=True))
            return
        device = vectors.device
        shift = shift.to(device)
        scale = torch.ones_like(shift) if scale is None else scale.to(device)
        if batch.vectors is not None:
            batch.vectors = (batch.vectors - shift) / scale
        else:
            batch.feats = (batch.feats - shift[:, :, None]) / scale[:, :, None]


def with_encoders(found: Sequence[Trained]) -> list[Member]:
    """Build the encoders of those that read features; equal ones once."""
    encoders: dict[str, torch.nn.Module] = {}
    members = []
    for trained in found:
        encoder = None
        if trained.input == "feats":
            key = repr(sorted(trained.upstream.items(), key=str))
            if key not in encoders:
                encoders[key] = build_upstream(trained.upstream)
            encoder = encoders[key]
        members.append(Member(trained, encoder, *_reads(trained)))
    return members


def _reads(trained: Trained) -> tuple[tuple[str, ...], SpeakerMemory | None]:
    """Statistics that a model on features reads instead of frames, and its memory of speakers."""
    norm, statistics = trained.speaker_norm, ()
    if trained.input == "feats" and not trained.phase["data_conf"]["crop_sec"]:
        model = MODELS.get(trained.phase["model"])
        statistics = model.statistics(trained.phase["model_conf"], len(trained.spec.layers))
        whole = trained.spec.hidden_size * len(statistics)
        if norm is not None and (norm.inside or norm.mean.shape[-1] != whole):
            statistics = ()  # it was trained on frames
    return tuple(statistics), None if norm is None else SpeakerMemory(norm)
