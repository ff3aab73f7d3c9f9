# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a model gets of some utterances: padded tensors, and batches read ahead."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from queue import Queue
from threading import Thread

import torch


@dataclass
class Batch:
    """What a model gets. What it did not ask for (its `needs`), or the data lack, is None.

    Attributes:
        utt: B utterance ids.
        feats: (B, L, T, D) hidden states, zero-padded, for input `feats`, or for an encoder that
            goes on from the last of them; lens (B,) frames.
        num_samples: B numbers of samples that the frames are of, for such an encoder; None for a
            crop.
        vectors: (B, L, S * D) statistics of the hidden states, where they were pooled once.
        wav: (B, N) samples at 16 kHz, zero-padded, for input `wav`; wav_lens (B,) samples.
        labels: By name of a class field (data/fields.py): (B,) int64 index in the model's classes,
            -1 where unknown. They are attributes too: batch.emo, batch.gender, …
        vad: (B, 3) valence, arousal, dominance in the corpus's own scale, NaN where unknown.
        votes: (B, C) shares of the raters by class of emo, NaN where unknown; None where no
            utterance has any.
        tokens: (B, U) int64, token_lens (B,): of the field text.
        pseudo: (B, S, T) int64 frame pseudo-labels of S label sets, -1 at padding.
        seeds: B seeds for what a model draws about an utterance in this epoch; None outside
            training.
    """

    utt: list[str]
    feats: torch.Tensor | None = None
    vectors: torch.Tensor | None = None
    lens: torch.Tensor | None = None
    num_samples: list[int | None] | None = None
    wav: torch.Tensor | None = None
    wav_lens: torch.Tensor | None = None
    labels: dict[str, torch.Tensor] = field(default_factory=dict)
    vad: torch.Tensor | None = None
    votes: torch.Tensor | None = None
    tokens: torch.Tensor | None = None
    token_lens: torch.Tensor | None = None
    pseudo: torch.Tensor | None = None
    seeds: list[int] | None = None

    def __len__(self) -> int:
        return len(self.utt)

    def __getattr__(self, name: str) -> torch.Tensor:
        labels = self.__dict__.get("labels", {})
        if name not in labels:
            raise AttributeError(
                f"no label '{name}' in this batch; does the model's `needs` name it?"
            )
        return labels[name]

    def to(self, device: torch.device) -> "Batch":
        """Copy every tensor to device."""
        moved = {
            f.name: getattr(self, f.name).to(device, non_blocking=True)
            for f in fields(self)
            if isinstance(getattr(self, f.name), torch.Tensor)
        }
        labels = {name: t.to(device, non_blocking=True) for name, t in self.labels.items()}
        return replace(self, **moved, labels=labels)


def pad(tensors: Sequence[torch.Tensor], dim: int, value: int = 0) -> torch.Tensor:
    """Stack tensors that differ in size along dim, with value at the end."""
    longest = max(t.shape[dim] for t in tensors)
    shape = list(tensors[0].shape)
    shape[dim] = longest
    out = tensors[0].new_empty((len(tensors), *shape))
    for row, tensor in zip(out, tensors, strict=True):
        length = tensor.shape[dim]
        row.narrow(dim, 0, length).copy_(tensor)
        row.narrow(dim, length, longest - length).fill_(value)
    return out


def prefetch(batches: Iterable[Batch], depth: int = 2) -> Iterator[Batch]:
    """Read up to depth batches ahead in a thread, so that a step need not wait for the disk.

    Args:
        batches: To read.
        depth: 0 reads in this thread: handing over takes longer than slicing what is in memory.
    """
    if not depth:
        yield from batches
        return
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
