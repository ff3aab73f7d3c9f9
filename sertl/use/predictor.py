# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a trained model, or several of an experiment together, say of audio.

    predictor = Predictor.load("exp/mini")
    predictor(wav, 16000).emo

Folds and seeds are an ensemble: probabilities and ratings are averaged. Every clip gets the same in
any batch. A model that normalises speakers knows a speaker by the clips so far (causal), in the
order in which they come, whatever it was trained with; clips without a speaker are one each.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torchaudio

from sertl.data.audio import SAMPLE_RATE, check_sample_rate
from sertl.data.batch import Batch
from sertl.data.own_classes import MARK, head_names
from sertl.errors import SertlError
from sertl.train.trained import check_encoder, load_model
from sertl.upstream.precision import bf16_share
from sertl.use.member import Member, Question, with_encoders
from sertl.use.members import find_members
from sertl.use.packed import is_packed
from sertl.use.prediction import Prediction, averaged
from sertl.use.unpacking import unpacked

if TYPE_CHECKING:
    from sertl.use.stream import EmotionStream
    from sertl.use.timeline import Timeline

logger = logging.getLogger(__name__)


class Predictor:
    """See the module's docstring; calls from several threads take turns.

    Args:
        members: Models of the same classes.
        device: Where they run.
        head: Of models with a head for each corpus (data/own_classes.py), whose classes to tell.

    Raises:
        SertlError: Other classes in each; no head chosen of several, or none of that name.
    """

    def __init__(
        self, members: Sequence[Member], device: torch.device | str = "cpu", head: str = ""
    ):
        if not members:
            raise SertlError("no model to predict with")
        first = members[0].trained.spec.all_classes
        for member in members[1:]:
            if dict(member.trained.spec.all_classes) != dict(first):
                raise SertlError("the models to average do not tell the same classes apart")
        self.members, self.device = list(members), torch.device(device)
        self.classes, self.own = _of_head(dict(first), head)
        for member in self.members:
            for module in (member.trained.model, member.encoder):
                if module is not None:
                    module.to(self.device)
        self._turn = threading.Lock()
        self._rounds = _worth_rounding({m.rounded_to for m in self.members}, self.device)

    @contextmanager
    def in_float32(self) -> Iterator[None]:
        """Inside, no product is rounded to 16 bits, though training or the encoder asked for it."""
        rounds, self._rounds = self._rounds, False
        try:
            yield
        finally:
            self._rounds = rounds

    @classmethod
    def load(
        cls,
        path: str | Path,
        seeds: Sequence[int] = (),
        folds: Sequence[int] = (),
        ckpt: str | None = None,
        device: torch.device | str = "cpu",
    ) -> "Predictor":
        """Open what a path means (use/members.py).

        Args:
            path: An experiment, a fold of it, a phase's folder, or a packed model; with ::HEAD
                after it where the model has a head for each corpus.
            seeds, folds: Of an experiment, only these.
            ckpt: Where the encoder's checkpoint lies now, if not where training found it.
            device: Where models run.

        Raises:
            SertlError: Nothing trained there; damaged or foreign files; another encoder.
        """
        path, _, head = str(path).partition(MARK)
        if is_packed(path):
            with unpacked(path, seeds, folds, ckpt) as found:
                return cls(with_encoders(found), device, head)
        found = [load_model(folder, ckpt) for folder in find_members(path, seeds, folds)]
        for trained in found:
            check_encoder(trained.encoder, trained.upstream, path)
        return cls(with_encoders(found), device, head)

    @property
    def labels(self) -> list[str]:
        """Emotions, in the order of the model's outputs."""
        return list(self.classes["emo"])

    @property
    def remembers(self) -> bool:
        """Whether a model knows speakers by what they said before."""
        return any(member.speakers is not None for member in self.members)

    def __call__(
        self, wav: np.ndarray | torch.Tensor, sample_rate: int, speaker: str | None = None
    ) -> Prediction:
        """Predict one clip.

        Args:
            wav: (N,) or (channels, N) samples in [-1, 1]; channels are averaged.
            sample_rate: Of wav, in Hz; other rates than 16 kHz are resampled.
            speaker: Who speaks, for models that normalise speakers.
        """
        return self.predict([prepared(wav, sample_rate)], [speaker])[0]

    def stream(self, sample_rate: int = SAMPLE_RATE, **options) -> "EmotionStream":
        """Speech as it comes; see use/stream.py.

        Args:
            sample_rate: Of the chunks, in Hz.
            options: plan and update_sec of EmotionStream.
        """
        from sertl.use.stream import EmotionStream

        return EmotionStream(self, sample_rate, **options)

    def timeline(self, path: str | Path, **options) -> "Timeline":
        """When in a recording is which emotion; see use/timeline.py.

        Args:
            path: Audio file.
            options: plan and turns of timeline().
        """
        from sertl.use.timeline import timeline

        return timeline(self, str(path), **options)

    def predict(
        self,
        wavs: Sequence[torch.Tensor],
        speakers: Sequence[str | None] | None = None,
        vectors: bool = False,
        remember: bool = True,
    ) -> list[Prediction]:
        """Predict clips in one batch.

        Args:
            wavs: B tensors or arrays (N_b,) float32 at 16 kHz.
            speakers: B names, None where nobody is named.
            vectors: Fill in utterance vectors: what the model's head reads.
            remember: Whether the clips count among what is known of their speakers from now on.

        Raises:
            SertlError: Vectors of several models, whose dimensions mean different things.
        """
        if vectors and len(self.members) > 1:
            raise SertlError(
                f"utterance vectors are those of one model, and {len(self.members)} are averaged "
                "here; choose one (--seeds 1 --folds 1)"
            )
        wavs = [torch.as_tensor(wav).to(self.device) for wav in wavs]
        speakers = [None] * len(wavs) if speakers is None else list(speakers)
        ask = Question(wavs, speakers, vectors, remember)
        with self._turn, torch.inference_mode():
            shared: dict[tuple, Batch] = {}
            said = [member.answer(ask, shared, self._rounds) for member in self.members]
        return [
            self._averaged([out[i] for out in said], len(wav) / SAMPLE_RATE)
            for i, wav in enumerate(wavs)
        ]

    def _averaged(self, said: Sequence[dict], dur_sec: float) -> Prediction:
        if self.own is not None:
            said = [{**s, "emo": s["emo"][self.own]} for s in said]
        classes = self.classes
        probs = [{n: v.softmax(dim=0).numpy() for n, v in s.items() if n in classes} for s in said]
        vads = [s["vad"].numpy() for s in said if "vad" in s]
        vector = said[0]["vector"].numpy() if "vector" in said[0] else None
        return averaged(classes, probs, vads, said[0].get("text"), dur_sec, vector)


def _worth_rounding(kinds: set[torch.dtype | None], device: torch.device) -> bool:
    """Whether products are rounded to the 16 bits of training: not on a CPU that is slower so."""
    kinds = kinds - {None}
    if not kinds or device.type != "cpu":
        return True
    if kinds == {torch.bfloat16} and bf16_share() <= 1.0:
        return True
    logger.info("this CPU is faster in float32 than in the 16 bits of training: float32 is taken")
    return False


def _of_head(
    classes: dict[str, Sequence[str]], head: str
) -> tuple[dict[str, Sequence[str]], list[int] | None]:
    """Names of the classes to tell, and which of the model's emotions they are; None: all."""
    names = head_names(classes["emo"])
    if not names and not head:
        return classes, None
    if not names:
        raise SertlError(f"{MARK}{head}: this model has one head; leave it out")
    if head not in names:
        ways = ", ".join(MARK + name for name in names)
        raise SertlError(f"a model with a head for each corpus: put one of {ways} after its path")
    own = [i for i, label in enumerate(classes["emo"]) if label.split(MARK, 1)[0] == head]
    named = [classes["emo"][i].split(MARK, 1)[1] for i in own]
    return {**classes, "emo": named}, own


def prepared(wav: np.ndarray | torch.Tensor, sample_rate: int) -> torch.Tensor:
    """(N,) or (channels, N) at any rate -> (N',) float32 at 16 kHz.

    Raises:
        SertlError: No samples, samples that are not finite, or a rate that is none.
    """
    check_sample_rate(sample_rate)
    wav = torch.as_tensor(np.asarray(wav), dtype=torch.float32)
    if wav.ndim == 2:
        wav = wav.mean(dim=0)
    if wav.ndim != 1 or not len(wav):
        raise SertlError(f"a clip has the shape {tuple(wav.shape)}, expected (N,) or (channels, N)")
    if not wav.isfinite().all():
        raise SertlError("a clip holds samples that are not finite")
    if sample_rate == SAMPLE_RATE:
        return wav
    return torchaudio.functional.resample(wav, int(sample_rate), SAMPLE_RATE)
