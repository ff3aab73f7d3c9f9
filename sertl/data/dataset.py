# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Utterances of a data directory as tensors, and batches of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from queue import Queue
from threading import Thread

import numpy as np
import torch
from torch.nn import functional as F

from sertl.data.audio import SAMPLE_RATE, read_audio
from sertl.data.datadir import DataDir, Utterance
from sertl.data.feats import FeatsStore
from sertl.errors import SertlError
from sertl.seed import derive_seed

GENDERS = ["f", "m"]
STYLES = ["acted", "improvised", "natural", "scripted"]


@dataclass
class Batch:
    """What a model gets. Fields it did not ask for (its `needs`), or that the data lack, are None.

    Attributes:
        utt: B utterance ids.
        feats: (B, L, T, D) hidden states, zero-padded, for input `feats`; lens (B,) frames.
        wav: (B, N) samples at 16 kHz, zero-padded, for input `wav`; wav_lens (B,) samples.
        emo, gender, style: (B,) int64 class index, -1 where unknown.
        vad: (B, 3) valence, arousal, dominance in the corpus's own scale, NaN where unknown.
        tokens: (B, U) int64, token_lens (B,).
    """

    utt: list[str]
    feats: torch.Tensor | None = None
    lens: torch.Tensor | None = None
    wav: torch.Tensor | None = None
    wav_lens: torch.Tensor | None = None
    emo: torch.Tensor | None = None
    gender: torch.Tensor | None = None
    style: torch.Tensor | None = None
    vad: torch.Tensor | None = None
    tokens: torch.Tensor | None = None
    token_lens: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.utt)

    def to(self, device: torch.device) -> "Batch":
        """Copy every tensor to device."""
        moved = {
            f.name: getattr(self, f.name).to(device, non_blocking=True)
            for f in fields(self)
            if isinstance(getattr(self, f.name), torch.Tensor)
        }
        return replace(self, **moved)


class UttDataset:
    """The utterances of one data directory, with features or audio.

    Args:
        data: The directory.
        labels: Class order; an utterance labelled otherwise is an error.
        feats: Dumped features, or None to read audio.
        normalise: Layer-normalise every frame of the features: once here, when they are cached,
            rather than in every step.
        crop_sec: Random crop of audio, from `crop` on; 0 reads whole clips.
        seed: Decides the crops, per utterance and epoch.
        cache_gib: Keep features in RAM if all of them take no more than this.
        hidden_size: D of the features, to estimate that.
        tokenizer: With `encode(text)`, if transcripts are wanted.

    Raises:
        SertlError: Unknown labels; utterances without features.
    """

    def __init__(
        self,
        data: DataDir,
        labels: Sequence[str],
        feats: FeatsStore | None = None,
        normalise: bool = False,
        crop_sec: float = 0.0,
        seed: int = 0,
        cache_gib: float = 0.0,
        hidden_size: int = 0,
        tokenizer=None,
    ):
        self.labels = list(labels)
        self.utts = list(data.utts.values())
        index = {label: i for i, label in enumerate(labels)}
        unknown = sorted({u.emo for u in self.utts if u.emo is not None} - index.keys())
        if unknown:
            raise SertlError(f"{data.path}/utt2emo has labels {unknown}, not among {list(labels)}")
        self.classes = [index.get(u.emo, -1) for u in self.utts]
        self.durs_sec = [u.dur_sec for u in self.utts]
        self.feats = feats
        self.normalise = normalise
        self.crop_samples = round(crop_sec * SAMPLE_RATE / 320) * 320
        self.seed = seed
        self.tokenizer = tokenizer
        self._cache: dict[str, torch.Tensor] | None = None
        if feats is not None:
            ids = [u.utt for u in self.utts]
            feats.check(ids)
            if feats.gib(ids, hidden_size) <= cache_gib:
                self._cache = {}

    def __len__(self) -> int:
        return len(self.utts)

    def batch(self, indices: Sequence[int], epoch: int | None = None) -> Batch:
        """Read, pad and label the utterances at indices.

        Args:
            indices: Into the directory's order.
            epoch: Given in training, where audio is cropped at random; None reads whole clips.
        """
        utts = [self.utts[i] for i in indices]
        batch = Batch(utt=[u.utt for u in utts])
        if self.feats is not None:
            arrays = [self._features(u.utt) for u in utts]
            batch.lens = torch.tensor([a.shape[1] for a in arrays])
            batch.feats = _pad(arrays, dim=1)
        else:
            wavs = [self._audio(u, epoch) for u in utts]
            batch.wav_lens = torch.tensor([len(w) for w in wavs])
            batch.wav = _pad(wavs, dim=0)
        batch.emo = torch.tensor([self.classes[i] for i in indices])
        batch.gender = _indices(utts, "gender", GENDERS)
        batch.style = _indices(utts, "style", STYLES)
        nan = (float("nan"),) * 3
        batch.vad = torch.tensor([u.vad or nan for u in utts], dtype=torch.float32)
        if self.tokenizer is not None:
            tokens = [
                torch.tensor(self.tokenizer.encode(u.text or ""), dtype=torch.long) for u in utts
            ]
            batch.token_lens = torch.tensor([len(t) for t in tokens])
            batch.tokens = _pad(tokens, dim=0)
        return batch

    def _features(self, utt: str) -> torch.Tensor:
        if self._cache is not None and utt in self._cache:
            return self._cache[utt]
        features = torch.from_numpy(self.feats.read(utt))  # (L, T, D)
        if self.normalise:
            features = F.layer_norm(features, features.shape[-1:])
        if self._cache is not None:
            self._cache[utt] = features
        return features

    def _audio(self, utt: Utterance, epoch: int | None) -> torch.Tensor:
        wav = read_audio(utt.wav, utt.utt)
        if epoch is not None and 0 < self.crop_samples < len(wav):
            rng = np.random.default_rng(derive_seed(self.seed, "crop", epoch, utt.utt))
            # A multiple of the usual stride, so that frame labels can be cropped alike.
            start = 320 * int(rng.integers((len(wav) - self.crop_samples) // 320 + 1))
            wav = wav[start : start + self.crop_samples]
        return torch.from_numpy(wav)


def prefetch(batches: Iterable[Batch], depth: int = 2) -> Iterator[Batch]:
    """Read up to depth batches ahead in a thread, so that a step need not wait for the disk."""
    queue: Queue = Queue(maxsize=depth)
    stop = False

    def fill() -> None:
        try:
            for batch in batches:
                queue.put((batch, None))
                if stop:
                    return
            queue.put((None, None))
        except BaseException as error:  # handed to the consumer, which raises it
            queue.put((None, error))

    thread = Thread(target=fill, daemon=True)
    thread.start()
    try:
        while True:
            batch, error = queue.get()
            if error is not None:
                raise error
            if batch is None:
                return
            yield batch
    finally:
        stop = True
        while thread.is_alive():
            while not queue.empty():
                queue.get()
            thread.join(0.01)


def _indices(utts: Sequence[Utterance], name: str, known: Sequence[str]) -> torch.Tensor:
    values = [getattr(u, name) for u in utts]
    return torch.tensor([-1 if v is None else known.index(v) for v in values])


def _pad(tensors: Sequence[torch.Tensor], dim: int) -> torch.Tensor:
    """Stack tensors that differ in size along dim, zeros at the end."""
    longest = max(t.shape[dim] for t in tensors)
    shape = list(tensors[0].shape)
    shape[dim] = longest
    out = tensors[0].new_zeros((len(tensors), *shape))
    for row, tensor in zip(out, tensors, strict=True):
        row.narrow(dim, 0, tensor.shape[dim]).copy_(tensor)
    return out
