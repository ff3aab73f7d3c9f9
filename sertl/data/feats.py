# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Dumped hidden states of an utterance, frames or pooled vectors: all layers as one array."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from sertl.data.ark import read_array, read_scp
from sertl.data.datadir import read_table
from sertl.data.places import Places
from sertl.errors import SertlError
from sertl.fingerprint import differences, require_done

# What a dump's fingerprint says of the data and the files; the rest describes the encoder.
OF_THE_DATA = {"layers", "format", "dump_version", "utts", "ids", "audio"}
OF_THE_DATA |= {"pool", "normalise", "pooled_from"}


REDO = "run stage 3 with --redo"


def read_counts(path: Path) -> dict[str, int]:
    """A table of utterances and whole numbers above 0.

    Raises:
        SertlError: Naming the line that is none.
    """
    table = read_table(path)
    for utt, word in table.items():
        if not re.fullmatch(r"[1-9][0-9]{0,11}", word):
            raise SertlError(f"{path}: '{utt}' has {word!r}, expected a whole number; {REDO}")
    return {utt: int(word) for utt, word in table.items()}


class FeatsStore:
    """The dump of one upstream (stage 3), read by utterance.

    Args:
        dump: `dump/<upstream>`, finished.
        layers: Indices of hidden states, as dumped.

    Attributes:
        pool: Statistics of which its vectors consist (`read_vectors`); empty if it holds frames
            (`read`).

        num_samples: Of each utterance, at 16 kHz; empty for dumps that do not say it.

    Raises:
        SertlError: If the dump is missing or unfinished, or lacks a layer.
    """

    def __init__(self, dump: str | Path, layers: Sequence[int]):
        self.dump = Path(dump)
        self.inputs = require_done(self.dump, "stage 3 (dump_feats)")
        self.pool: list[str] = self.inputs.get("pool", [])
        self.layers = list(layers)
        missing = [n for n in self.layers if not (self.dump / f"layer{n}" / "feats.scp").is_file()]
        if missing:
            found = sorted(p.name for p in self.dump.glob("layer*"))
            raise SertlError(
                f"{self.dump} has no features of layer {missing}; it holds {found}. "
                "Dump them (--redo --stage 3) or choose others (data_conf.layers)"
            )
        self._scp: list[Places] = []
        for n in self.layers:
            scp = read_scp(self.dump / f"layer{n}" / "feats.scp")
            self._scp.append(Places(scp, self._scp[0] if self._scp else None))
        self.num_frames = read_counts(self.dump / "utt2num_frames")
        path = self.dump / "utt2num_samples"
        self.num_samples = read_counts(path) if path.is_file() else {}
        for n, scp in zip(self.layers, self._scp, strict=True):
            if lost := sorted(self.num_frames.keys() - scp.keys()):
                raise SertlError(
                    f"{self.dump}/layer{n}/feats.scp lacks {len(lost)} utterances, e.g. {lost[0]}, "
                    f"that utt2num_frames has; {REDO}"
                )

    def add(self, dump: str | Path) -> None:
        """Also read the utterances of another dump by the same encoder.

        An utterance in both, as when a part of the recipe's own data is given, is read here.

        Raises:
            SertlError: If another encoder made it, or an id in both is not the same utterance.
        """
        other = FeatsStore(dump, self.layers)
        lines = encoder_differences(self.inputs, other.inputs)
        if lines:
            raise SertlError(f"{dump} is not of the encoder of {self.dump}: " + "; ".join(lines))
        for utt in sorted(self.num_frames.keys() & other.num_frames.keys()):
            if self.num_frames[utt] != other.num_frames[utt]:
                raise SertlError(
                    f"{utt} has {self.num_frames[utt]} frames in {self.dump}, "
                    f"{other.num_frames[utt]} in {dump}: one id for two utterances"
                )
        self.num_frames = {**other.num_frames, **self.num_frames}
        self.num_samples = {**other.num_samples, **self.num_samples}
        pairs = zip(self._scp, other._scp, strict=True)
        self._scp = [Places({**theirs, **mine}) for mine, theirs in pairs]

    def in_order(self, utts: Iterable[str]) -> list[str]:
        """Ids as they are stored, for a pass over all of them."""
        return self._scp[0].in_order(utts) if self._scp else list(utts)

    def check(self, utts: Sequence[str]) -> None:
        """Raise SertlError naming the utterances that were not dumped."""
        missing = [utt for utt in utts if utt not in self.num_frames]
        if missing:
            raise SertlError(
                f"{self.dump} lacks {len(missing)} of {len(utts)} utterances, e.g. {missing[:3]}; "
                "it was made from other data: run stage 3 with --redo"
            )

    def gib(self, utts: Sequence[str], hidden_size: int) -> float:
        """Size in GiB of these utterances as float32 in memory."""
        frames = sum(self.num_frames[utt] for utt in utts)
        return frames * len(self.layers) * hidden_size * 4 / 2**30

    def read(self, utt: str) -> np.ndarray:
        """Return (L, T, D) float32.

        Raises:
            SertlError: If an ark is truncated or disagrees with utt2num_frames.
        """
        arrays = [read_array(scp[utt], utt) for scp in self._scp]
        for layer, array in zip(self.layers, arrays, strict=True):
            if len(array) != self.num_frames[utt]:
                raise SertlError(
                    f"{self.dump}/layer{layer}: {utt} has {len(array)} frames, but utt2num_frames "
                    f"says {self.num_frames[utt]}; redo stage 3"
                )
        return np.stack(arrays)

    def read_vectors(self, utt: str, statistics: Sequence[str]) -> np.ndarray:
        """Return (L, S * D) float32 of a pooled dump.

        Args:
            utt: Id.
            statistics: S of those in `pool`, in the order wanted.

        Raises:
            SertlError: If an ark is truncated, or a statistic is not there.
        """
        missing = [name for name in statistics if name not in self.pool]
        if missing:
            raise SertlError(
                f"{self.dump} holds {', '.join(self.pool)} of the frames, not "
                f"{', '.join(missing)}; dump them (--redo true --stage 3 --pool …)"
            )
        stored = np.stack([read_array(scp[utt], utt) for scp in self._scp])
        parts = np.split(stored, len(self.pool), axis=1)
        return np.concatenate([parts[self.pool.index(name)] for name in statistics], axis=1)


def encoder_differences(one: dict, other: dict) -> list[str]:
    """Lines naming what two dumps' fingerprints say differently of the encoder."""
    one, other = ({k: v for k, v in d.items() if k not in OF_THE_DATA} for d in (one, other))
    return differences(one, other)
