# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Speaker normalisation of a model that reads audio or frames: of the vectors that it pools.

Once an epoch, and before it is judged or decodes, the model shows the vectors of all utterances of
the set, which training moves; what a speaker's have in common is then taken out of each, until the
next time.
"""

from contextlib import AbstractContextManager, nullcontext

import torch

from sertl.data.dataset import UttDataset
from sertl.data.speaker_norm import SpeakerNorm, fit_speaker_norm, shifts
from sertl.errors import SertlError
from sertl.models.base import SERModel
from sertl.train import distributed
from sertl.train.evaluate import predict


class LiveNorm:
    """Keeps a model's `shifts` up to date.

    Args:
        model: Whose classifier calls `centred` on its pooled vectors.
        data_conf: Of the phase; speaker_norm among it.
        device: Where batches go.
        dtype: Of autocast, or None.
        norm: As fitted in training, for decoding; else `refresh` fits it.
        before: Whether speakers are taken out of what the model reads.
    """

    def __init__(
        self,
        model: SERModel,
        data_conf: dict,
        device: torch.device,
        dtype: torch.dtype | None,
        norm: SpeakerNorm | None = None,
        before: bool = False,
    ):
        self.model, self.data_conf, self.before = model, data_conf, before
        self.device, self.dtype, self.norm = device, dtype, norm

    @property
    def acts(self) -> bool:
        """Whether there is anything to do: speakers to normalise, vectors that training moves."""
        asked = self.data_conf["speaker_norm"]["mode"] != "none"
        return asked and not self.before and self.model.classifies

    def once(self) -> AbstractContextManager[None]:
        """Within, while weights rest, the encoder hears an utterance once: here or in `predict`."""
        return self.model.remembering() if self.acts else nullcontext()

    def refresh(self, data: UttDataset, seed: int, fit: bool = False) -> None:
        """Show the model every utterance of a set, in whole clips, and normalise their speakers.

        A phase without classes or values of utterances has no vectors that this could be of.

        Args:
            data: The set.
            seed: Of the order of clips.
            fit: Whether these are the training utterances, of which mean and prior are taken.

        Raises:
            SertlError: If the model pools nothing that could be normalised.
        """
        if not self.acts:
            return
        self.model.collected = {}
        predict(self.model, data, self.data_conf, self.device, self.dtype)
        parts, self.model.collected = distributed.gather(self.model.collected), None
        found = {utt: vector for part in parts for utt, vector in part.items()}
        if not found:
            raise SertlError(
                "data_conf.speaker_norm: this phase's model does not call `centred` on its pooled "
                "vectors, in which speakers would be normalised"
            )
        vectors = torch.stack([found[u.utt] for u in data.utts])
        if fit:
            conf = self.data_conf["speaker_norm"]
            self.norm = fit_speaker_norm(vectors, [u.spk for u in data.utts], conf)
        shift, scale = shifts(vectors, data.utts, self.norm, seed)
        rows = shift[:, None] if scale is None else torch.stack([shift, scale], dim=1)
        self.model.shifts.update(zip([u.utt for u in data.utts], rows, strict=True))
