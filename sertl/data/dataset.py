# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Utterances of a data directory, with features or audio, to be read in batches."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from torch.nn import functional as F

from sertl.data.audio import SAMPLE_RATE, read_audio
from sertl.data.augment import change_sound, change_speed
from sertl.data.batch import Batch, pad
from sertl.data.datadir import DataDir, Utterance
from sertl.data.feats import FeatsStore
from sertl.data.frame_labels import FrameLabels
from sertl.data.own_classes import CORPUS, head_names
from sertl.data.speaker_norm import SpeakerNorm, shifts
from sertl.errors import SertlError
from sertl.seed import derive_seed

CROP_STEP = 320  # samples: crops begin on a frame of the usual stride, and hold whole frames


class UttDataset:
    """The utterances of one data directory, with features or audio.

    Args:
        data: The directory.
        classes: Names of the classes of each class field that is wanted, in index order. An emotion
            that is not among them is an error; what else is not counts as unknown.
        feats: Dumped features, or None to read audio.
        normalise: Layer-normalise every frame of the features: once here, when they are cached,
            rather than in every step.
        crop_sec: Random crop in training, of audio or of features; 0 reads whole clips.
        seed: Decides the crops, per utterance and epoch.
        cache_gib: Keep features in RAM if all of them take no more than this.
        hidden_size: D of the features, to estimate that.
        statistics: What of a pooled dump is read, in this order.
        resumed: Whether an encoder goes on from the features.
        augment: Changes of training audio (data_conf.augment); None for none.
        tokenizer: With `encode(text)`, if transcripts are wanted.
        pseudo: Frame pseudo-labels, if they are wanted; they are cropped with the audio.

    Raises:
        SertlError: Unknown labels; utterances without features or pseudo-labels; pseudo-labels of
            a stride that the crops do not keep to.
    """

    def __init__(
        self,
        data: DataDir,
        classes: Mapping[str, Sequence[str]],
        feats: FeatsStore | None = None,
        normalise: bool = False,
        crop_sec: float = 0.0,
        seed: int = 0,
        cache_gib: float = 0.0,
        hidden_size: int = 0,
        statistics: Sequence[str] = (),
        tokenizer=None,
        pseudo: FrameLabels | None = None,
        resumed: bool = False,
        augment: Mapping | None = None,
    ):
        self.classes = {name: list(values) for name, values in classes.items()}
        self.path, self.utts = data.path, list(data.utts.values())
        known = self.classes.get("emo", [])
        unknown = sorted({u.emo for u in self.utts if u.emo is not None} - set(known))
        if unknown:
            raise SertlError(f"{data.path}/utt2emo has labels {unknown}, not among {known}")
        self._index = {name: class_index(self.utts, name, c) for name, c in self.classes.items()}
        self.emo = self._index.get("emo", [-1] * len(self.utts))
        self.durs_sec = [u.dur_sec for u in self.utts]
        self.feats = feats
        self.normalise = normalise
        self.crop_samples = round(crop_sec * SAMPLE_RATE / CROP_STEP) * CROP_STEP
        crop = self.crop_samples / SAMPLE_RATE or math.inf
        self.train_sec = [min(sec, crop) for sec in self.durs_sec]  # as read in training
        self.seed = seed
        self.tokenizer = tokenizer
        self.resumed = resumed
        self.augment = augment
        self.pseudo = pseudo
        if pseudo is not None:
            pseudo.check([u.utt for u in self.utts])
            if augment is not None and augment["speed"]:
                raise SertlError("data_conf.augment.speed: pseudo-labels keep the clip's own time")
            if self.crop_samples and CROP_STEP % pseudo.stride:
                raise SertlError(
                    f"data_conf.crop_sec: audio is cut at multiples of {CROP_STEP} samples, which "
                    f"pseudo-labels every {pseudo.stride} samples do not fit; set crop_sec to 0"
                )
        self._cache: dict[str, torch.Tensor] | None = None
        self.vectors: torch.Tensor | None = None  # (N, L, S * D) of a pooled dump
        self._norms: tuple[torch.Tensor, torch.Tensor | None] | None = None
        if feats is not None:
            ids = [u.utt for u in self.utts]
            feats.check(ids)
            if resumed and (lacking := [u for u in ids if not feats.num_samples.get(u)]):
                raise SertlError(
                    f"{feats.dump}/utt2num_samples lacks {len(lacking)} utterances, e.g. "
                    f"{lacking[0]}; an older version made it: run stage 3 with --redo"
                )
            if feats.pool:
                self.vectors = self._read_vectors(statistics)
            elif feats.gib(ids, hidden_size) <= cache_gib:
                self._cache = {}

    def _read_vectors(self, statistics: Sequence[str]) -> torch.Tensor:
        places = {u.utt: i for i, u in enumerate(self.utts)}
        out: np.ndarray | None = None
        for utt in self.feats.in_order(places):
            row = self.feats.read_vectors(utt, statistics)
            out = np.empty((len(places), *row.shape), np.float32) if out is None else out
            out[places[utt]] = row
        return torch.from_numpy(out)

    def clip_vectors(self) -> torch.Tensor:
        """A vector of each utterance, for what speakers have in common.

        Returns:
            (N, L, S * D) of a pooled dump, (N, L, D) means of frames.
        """
        if self.vectors is not None:
            return self.vectors
        return torch.stack([self._features(u.utt).mean(dim=1) for u in self.utts])

    def normalise_speakers(self, norm: SpeakerNorm | None, seed: int = 0) -> None:
        """From now on take out of features and vectors what clips of a speaker have in common.

        Of what a model pools itself: train/live_norm.py.

        Args:
            norm: Fitted on training utterances; None takes out nothing.
            seed: Of the order of clips.
        """
        self._norms = None if norm is None else shifts(self.clip_vectors(), self.utts, norm, seed)

    @property
    def normalised(self) -> bool:
        """Whether it is without what speakers have in common."""
        return self._norms is not None

    def _normed(self, features: torch.Tensor, rows: Sequence[int], frames: bool) -> torch.Tensor:
        """(B, L, D') vectors, or (L, T, D) frames of one utterance, without their speaker's."""
        if self._norms is None:
            return features
        parts = [part if part is None else part[rows] for part in self._norms]
        shift, scale = (p[0][:, None] if frames and p is not None else p for p in parts)
        features = features - shift
        return features if scale is None else features / scale

    def __len__(self) -> int:
        return len(self.utts)

    @property
    def depth(self) -> int:
        """How far to prefetch."""
        return 2 if self.vectors is None else 0

    def batch(self, indices: Sequence[int], epoch: int | None = None) -> Batch:
        """Read, pad and label the utterances at indices.

        Args:
            indices: Into the directory's order.
            epoch: Given in training, where audio is cropped at random; None reads whole clips.
        """
        utts = [self.utts[i] for i in indices]
        batch = Batch(utt=[u.utt for u in utts])
        if epoch is not None:
            batch.seeds = [derive_seed(self.seed, "epoch", epoch, u.utt) for u in utts]
        starts: Sequence[int | None] = [None] * len(utts)
        if self.vectors is not None:
            batch.vectors = self._normed(self.vectors[list(indices)], list(indices), False)
        elif self.feats is not None:
            parts = [self._cropped(self._features(u.utt), u, epoch) for u in utts]
            arrays = [
                self._normed(a, [row], True) for (a, _), row in zip(parts, indices, strict=True)
            ]
            starts = [start for _, start in parts]
            batch.lens = torch.tensor([a.shape[1] for a in arrays])
            batch.feats = pad(arrays, dim=1)
            if self.resumed:
                batch.num_samples = [
                    self.feats.num_samples[u.utt] if start is None else None
                    for u, start in zip(utts, starts, strict=True)
                ]
        else:
            wavs, starts = zip(*(self._audio(u, epoch) for u in utts), strict=True)
            batch.wav_lens = torch.tensor([len(w) for w in wavs])
            batch.wav = pad(wavs, dim=0)
        for name, index in self._index.items():
            batch.labels[name] = torch.tensor([index[i] for i in indices])
        nan = (float("nan"),) * 3
        batch.vad = torch.tensor([u.vad or nan for u in utts], dtype=torch.float32)
        if any(u.votes for u in utts):
            batch.votes = torch.tensor([self._shares(u) for u in utts])
        if self.tokenizer is not None:
            tokens = [
                torch.tensor(self.tokenizer.encode(u.text or ""), dtype=torch.long) for u in utts
            ]
            batch.token_lens = torch.tensor([len(t) for t in tokens])
            batch.tokens = pad(tokens, dim=0)
        if self.pseudo is not None:
            labels = [self._pseudo(u.utt, start) for u, start in zip(utts, starts, strict=True)]
            batch.pseudo = pad(labels, dim=1, value=-1)
        return batch

    @cached_property
    def _corpus(self) -> dict[str, str | None]:
        return {u.utt: u.own.get(CORPUS) for u in self.utts}

    def own_heads(self, utts: Sequence[str]) -> torch.Tensor:
        """(B,) number of the head that is each utterance's own: that of its corpus.

        Raises:
            SertlError: An utterance of no corpus, or of one that has no head.
        """
        names = head_names(self.classes["emo"])
        found = [self._corpus.get(utt) for utt in utts]
        for utt, name in zip(utts, found, strict=True):
            if name not in names:
                raise SertlError(
                    f"{self.path}/utt2{CORPUS}: {utt} is of {name or 'no corpus'}, and the model "
                    f"has heads for {', '.join(names)}"
                )
        return torch.tensor([names.index(name) for name in found])

    def _shares(self, utt: Utterance) -> list[float]:
        labels = self.classes["emo"]
        if utt.votes is None:
            return [float("nan")] * len(labels)
        total = sum(utt.votes.values())
        return [utt.votes.get(label, 0.0) / total for label in labels]

    def _features(self, utt: str) -> torch.Tensor:
        if self._cache is not None and utt in self._cache:
            return self._cache[utt]
        features = torch.from_numpy(self.feats.read(utt))  # (L, T, D)
        if self.normalise:
            features = F.layer_norm(features, features.shape[-1:])
        if self._cache is not None:
            self._cache[utt] = features
        return features

    def _cropped(
        self, features: torch.Tensor, utt: Utterance, epoch: int | None
    ) -> tuple[torch.Tensor, int | None]:
        """(L, T, D) -> (L, T', D): the frames of a random crop in training, else all.

        And the sample at which they begin; None if they are the whole clip.
        """
        frames, seconds = features.shape[1], self.crop_samples / SAMPLE_RATE
        if epoch is None or not 0 < seconds < utt.dur_sec:
            return features, None
        length = max(1, round(frames * seconds / utt.dur_sec))
        rng = np.random.default_rng(derive_seed(self.seed, "crop", epoch, utt.utt))
        start = int(rng.integers(frames - length + 1))
        return features[:, start : start + length], CROP_STEP * start

    def _audio(self, utt: Utterance, epoch: int | None) -> tuple[torch.Tensor, int | None]:
        """(N,) samples, and where they were cropped out of the clip; None if it is whole."""
        wav, start = torch.from_numpy(read_audio(utt.wav, utt.utt)), None
        changes = epoch is not None and self.augment is not None
        if changes:
            drawn = torch.Generator().manual_seed(derive_seed(self.seed, "augment", epoch, utt.utt))
            wav = change_speed(wav, self.augment["speed"], drawn)
        if epoch is not None and 0 < self.crop_samples < len(wav):
            rng = np.random.default_rng(derive_seed(self.seed, "crop", epoch, utt.utt))
            steps = (len(wav) - self.crop_samples) // CROP_STEP
            start = CROP_STEP * int(rng.integers(steps + 1))
            wav = wav[start : start + self.crop_samples]
        return change_sound(wav, self.augment, drawn) if changes else wav, start

    def _pseudo(self, utt: str, start: int | None) -> torch.Tensor:
        """(S, T): the labels of the whole clip, or of the crop that begins at sample start."""
        labels = torch.from_numpy(self.pseudo.read(utt)).long()
        if start is None:
            return labels
        first = start // self.pseudo.stride
        return labels[:, first : first + math.ceil(self.crop_samples / self.pseudo.stride)]


def class_index(utts: Iterable[Utterance], name: str, classes: Sequence[str]) -> list[int]:
    """Index of each utterance's class of a field; -1 where it is unknown, or none of them."""
    index = {value: i for i, value in enumerate(classes)}
    return [index.get(u.value(name), -1) for u in utts]
