# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Where the arrays of millions of utterances lie: an scp in 12 bytes an utterance, beside ids."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np


class Places(Mapping[str, str]):
    """An scp, utterance to "ark:offset", as numbers: read_scp's strings take fifteen times as much.

    Args:
        scp: From read_scp.
        like: Of another layer: its ids are taken, where they are the same.
    """

    def __init__(self, scp: Mapping[str, str], like: "Places | None" = None):
        self._arks: list[str] = []
        self._odd: dict[int, str] = {}  # not a path and an offset; whoever reads it says so
        self._file = np.zeros(len(scp), np.int32)
        self._offset = np.zeros(len(scp), np.int64)
        known: dict[str, int] = {}
        for row, spec in enumerate(scp.values()):
            path, _, digits = spec.rpartition(":")
            if not digits.isdecimal() or len(digits) > 18 or digits != str(int(digits)):
                self._odd[row] = spec
                continue
            if path not in known:
                known[path] = len(self._arks)
                self._arks.append(path)
            self._file[row], self._offset[row] = known[path], int(digits)
        if like is not None and len(like) == len(scp) and all(map(str.__eq__, like, scp)):
            self._rows = like._rows
        else:
            self._rows = {utt: row for row, utt in enumerate(scp)}

    def __getitem__(self, utt: str) -> str:
        row = self._rows[utt]
        if row in self._odd:
            return self._odd[row]
        return f"{self._arks[self._file[row]]}:{self._offset[row]}"

    def in_order(self, utts: Iterable[str]) -> list[str]:
        """Ids as their arrays stand in the arks, ark after ark: for a pass over all of them."""
        utts = list(utts)
        rows = np.array([self._rows[utt] for utt in utts], np.int64)
        return [utts[i] for i in np.lexsort((self._offset[rows], self._file[rows]))]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)
