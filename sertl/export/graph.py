# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A trained model, or several averaged, as one module from waveforms to probabilities.

Clips of a batch have one length, so that nothing is padded and nothing has to be masked. A model
that normalises speakers takes every clip as somebody else's, as Predictor does where nobody is
named.
"""

import torch
from torch import nn
from torch.nn import functional as F

from sertl.data.batch import Batch
from sertl.data.speaker_norm import SpeakerNorm
from sertl.errors import SertlError
from sertl.nn.frame_statistics import pool_frames
from sertl.use.member import Member
from sertl.use.predictor import Predictor


class Graph(nn.Module):
    """(B, N) samples at 16 kHz -> probabilities of each class field, and V/A/D.

    Args:
        predictor: On the CPU.

    Attributes:
        outputs: Names of what forward returns, in its order.

    Raises:
        SertlError: A model that says nothing of utterances.
    """

    def __init__(self, predictor: Predictor):
        super().__init__()
        self.members, self.fields = predictor.members, predictor.classes
        self.own = predictor.own
        # Registered, so that the exporter finds their tensors.
        self.models = nn.ModuleList(m.trained.model for m in self.members)
        self.encoders = nn.ModuleList(m.encoder for m in self.members if m.encoder is not None)
        with torch.no_grad():
            said = self._said(torch.zeros(1, 16000))
        self.outputs = list(said)
        if not self.outputs:
            raise SertlError("this phase's model says nothing of utterances: nothing to export")

    def forward(self, wav: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self._said(wav).values())

    def _said(self, wav: torch.Tensor) -> dict[str, torch.Tensor]:
        shared: dict[tuple, torch.Tensor] = {}
        found: dict[str, list[torch.Tensor]] = {}
        for member in self.members:
            for name, value in self._ask(member, wav, shared).items():
                found.setdefault(name, []).append(value)
        return {name: torch.stack(values).mean(dim=0) for name, values in found.items()}

    def _ask(
        self, member: Member, wav: torch.Tensor, shared: dict[tuple, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """What a member says; hidden states that several members read are computed once."""
        trained = member.trained
        model, spec = trained.model, trained.spec
        upstream = model.upstream if member.encoder is None else member.encoder
        key = (id(upstream), *spec.layers, spec.normalise)
        if key not in shared:
            states, _ = upstream.encode_equal(wav, spec.layers)
            hidden = torch.stack(states, dim=1)  # (B, L, T, D)
            shared[key] = F.layer_norm(hidden, hidden.shape[-1:]) if spec.normalise else hidden
        batch = self._batch(member, shared[key])
        try:
            model.upstream = None  # so that it reads the batch's hidden states
            norm = trained.speaker_norm
            if norm is not None and norm.inside:
                model.centred = lambda vectors, _batch: _somebody_else(vectors, norm)
            out = model.predict(batch)
            if self.own is not None:
                out["emo"] = out["emo"][:, self.own]
        finally:
            model.upstream = upstream if member.encoder is None else None
            vars(model).pop("centred", None)
        said = {n: v.float().softmax(dim=1) for n, v in out.items() if n in self.fields}
        return said | ({"vad": out["vad"].float()} if "vad" in out else {})

    def _batch(self, member: Member, hidden: torch.Tensor) -> Batch:
        """Vectors where the model reads statistics of frames, else the frames."""
        norm = member.trained.speaker_norm
        if norm is not None and norm.inside:
            norm = None  # not of what it reads
        utts = [""] * hidden.shape[0] if isinstance(hidden.shape[0], int) else [""]
        model, spec = member.trained.model, member.trained.spec
        names = member.statistics
        if member.encoder is None:
            names = model.statistics(member.trained.phase["model_conf"], len(spec.layers))
        if names:
            vectors = pool_frames(hidden, names)  # (B, L, S * D)
            return Batch(utt=utts, vectors=_somebody_else(vectors, norm))
        # Counted, not taken from the shape: that would be a constant of the older exporter's graph.
        lens = torch.ones_like(hidden[:, 0, :, 0], dtype=torch.int64).sum(dim=1)
        if norm is not None:
            means = hidden.mean(dim=2)
            hidden = hidden - (means - _somebody_else(means, norm, False))[:, :, None]
            if norm.std is not None:
                hidden = hidden / _scale(norm)[:, None]
        return Batch(utt=utts, feats=hidden, lens=lens)


def _somebody_else(
    vectors: torch.Tensor, norm: SpeakerNorm | None, scaled: bool = True
) -> torch.Tensor:
    """Vectors without what their speaker, known by this clip alone, is taken to have in common."""
    if norm is None:
        return vectors
    vectors = vectors - (vectors + norm.weight * norm.mean) / (1 + norm.weight)
    return vectors / _scale(norm) if scaled and norm.std is not None else vectors


def _scale(norm: SpeakerNorm) -> torch.Tensor:
    share = norm.weight / (1 + norm.weight)
    return (share * norm.std.square()).sqrt().clamp_min(1e-6)
