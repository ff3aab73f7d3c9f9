# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Who speaks when: from an RTTM file, or guessed by clustering the segments of a recording."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sertl.data.audio import SAMPLE_RATE
from sertl.errors import SertlError

Turn = tuple[float, float, str]  # start and end in seconds, speaker


def read_rttm(path: str | os.PathLike) -> dict[str, list[Turn]]:
    """Turns of each recording, in order of time.

    A line: SPEAKER file channel start duration <NA> <NA> name <NA> [<NA>]; other types are left
    out, as are comments (;;).

    Raises:
        SertlError: A line that is not of that form, naming it.
    """
    turns: dict[str, list[Turn]] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SertlError(f"{path}: cannot be read as RTTM: {error}") from error
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0] != "SPEAKER":
            continue
        try:
            start, dur = float(words[3]), float(words[4])
            name = words[7]
        except (IndexError, ValueError) as error:
            raise SertlError(
                f"{path}:{number}: expected SPEAKER file channel start duration <NA> <NA> name, "
                f"got {line!r}"
            ) from error
        if not (0 <= start < float("inf") and 0 < dur < float("inf")):
            raise SertlError(f"{path}:{number}: start {start}, duration {dur}")
        turns.setdefault(words[1], []).append((start, start + dur, name))
    if not turns:
        raise SertlError(f"{path}: no SPEAKER line in it")
    return {name: sorted(found) for name, found in turns.items()}


def voice_vector(wav: np.ndarray) -> np.ndarray:
    """(N,) at 16 kHz -> (38,) mean and deviation of MFCC 1 to 19: a rough print of a voice."""
    import torch
    import torchaudio

    options = {"n_fft": 512, "hop_length": 160, "n_mels": 40}
    mfcc = torchaudio.transforms.MFCC(SAMPLE_RATE, 20, melkwargs=options)
    frames = mfcc(torch.from_numpy(np.pad(wav, (0, max(0, 1024 - len(wav))))))[1:]  # (19, T)
    return torch.cat([frames.mean(dim=1), frames.std(dim=1, correction=0)]).numpy()


def cluster_speakers(vectors: Sequence[np.ndarray], count: int) -> list[str]:
    """Group segments by voice: approximate, and no diarisation system.

    Args:
        vectors: Of each segment.
        count: Of speakers.

    Returns:
        For each segment "guess1" and so on, in the order in which they are first heard.
    """
    from sklearn.cluster import AgglomerativeClustering

    count = min(count, len(vectors))
    if count < 2:
        return ["guess1"] * len(vectors)
    stacked = np.stack(vectors)
    stacked = (stacked - stacked.mean(axis=0)) / stacked.std(axis=0).clip(1e-5)
    found = AgglomerativeClustering(count).fit_predict(stacked)
    order = list(dict.fromkeys(found.tolist()))
    return [f"guess{order.index(n) + 1}" for n in found.tolist()]
