# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A hash of recordings, by which a stage knows whether it has read these before."""

import hashlib
import os
from collections.abc import Iterable

from sertl.data.datadir import Utterance
from sertl.data.table import listing
from sertl.errors import SertlError

SAMPLED_BYTES = 16384  # at the start, middle and end of each recording


def audio_hash(utts: Iterable[Utterance]) -> str:
    """Hash of all recordings by id, duration, size and three samples of their bytes.

    Paths and times of change are left out, so that a corpus may be moved or copied. Cleaning,
    amplifying or re-coding a recording is noticed; an edit of a few samples elsewhere is not, which
    is the price of not reading the whole corpus on each call.

    Raises:
        SertlError: Listing every recording that cannot be read.
    """
    digest, problems = hashlib.sha256(), []
    for utt in sorted(utts, key=lambda u: u.utt):
        try:
            with open(utt.wav, "rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                digest.update(f"{utt.utt} {utt.dur_sec:.3f} {size}\n".encode())
                for place in (0, size // 2, size - SAMPLED_BYTES):
                    stream.seek(max(0, place))
                    digest.update(stream.read(SAMPLED_BYTES))
        except OSError as error:
            problems.append(f"utterance {utt.utt}: {utt.wav}: {error.strerror}")
    if problems:
        raise SertlError(listing("recordings cannot be read", problems, limit=20))
    return digest.hexdigest()[:16]
