# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The log of a phase: log.jsonl (one JSON object a line), TensorBoard, and a line for people."""

import json
from pathlib import Path

import torch

from sertl.run_file import RETRAIN, parse_run_json, read_run_text
from sertl.schema.run_records import LogEntry
from sertl.train import distributed


class Record:
    """Weighted means over an epoch, written when it ends.

    Args:
        out: Phase folder.
        enabled: False on all processes but the first, which still add their numbers.
    """

    def __init__(self, out: Path, enabled: bool):
        self.path = Path(out) / "log.jsonl"
        self.enabled = enabled
        self._offset = 0  # bytes of log.jsonl that belong to the saved state
        self._sums: dict[str, float] = {}
        self._weight = 0.0
        self._latest: dict[str, dict] = {}
        self._board = None
        self._purge: int | None = None

    def add(self, weight: float, stats: dict) -> None:
        """Add a micro-batch's means."""
        self._weight += weight
        for name, value in stats.items():
            self._sums[name] = self._sums.get(name, 0.0) + weight * float(value)

    def update(self, number: int, **values: float) -> None:
        """Scalars of one update, for TensorBoard only."""
        self._scalars("update", values, number)

    def end_epoch(self, kind: str, epoch: int, **extra: float) -> None:
        """Write the epoch's means, summed over all processes, and start anew."""
        parts = distributed.gather((self._weight, self._sums))
        total = sum(weight for weight, _ in parts)
        names = sorted({name for _, sums in parts for name in sums})
        means = {n: sum(s.get(n, 0.0) for _, s in parts) / max(total, 1e-12) for n in names}
        self._sums, self._weight = {}, 0.0
        self.write({"kind": kind, "epoch": epoch, **means, **extra})

    def write(self, entry: dict) -> None:
        """Append one entry; `kind` and `epoch` are required."""
        self._latest[entry["kind"]] = entry
        if not self.enabled:
            return
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")
            stream.flush()
            self._offset = stream.tell()
        numbers = {k: v for k, v in entry.items() if isinstance(v, float)}
        self._scalars(entry["kind"], numbers, entry["epoch"])

    def line(self) -> str:
        """The latest train and dev numbers in one line."""
        words = []
        for kind, names in (("train", ("loss",)), ("dev", ("loss", "ua", "wa", "ccc"))):
            entry = self._latest.get(kind, {})
            words += [f"{kind} {n} {entry[n]:.4f}" for n in names if n in entry]
        if self._latest.get("dev", {}).get("best"):
            words.append("(best so far)")
        return ", ".join(words)

    def state(self) -> dict:
        """What a resume needs: where the log ends, and the sums of an unfinished epoch."""
        return {"offset": self._offset, "sums": self._sums, "weight": self._weight}

    def restart(self) -> None:
        """Forget the log of a run that was stopped before it had saved anything."""
        if self.enabled:
            self.path.unlink(missing_ok=True)

    def restore(self, state: dict) -> None:
        """Forget what was logged after the state was saved."""
        self._offset, self._sums, self._weight = state["offset"], state["sums"], state["weight"]
        if self.enabled and self.path.is_file():
            with open(self.path, "r+b") as stream:
                stream.truncate(self._offset)
        self._purge = self._offset

    def close(self) -> None:
        """Flush TensorBoard."""
        if self._board is not None:
            self._board.close()

    def seconds(self, kind: str) -> list[float]:
        """Wall time of every epoch in log.jsonl; none without an update and without dev."""
        if not self.path.is_file():
            return []
        lines = read_run_text(self.path, RETRAIN).splitlines()
        entries = [parse_run_json(line, LogEntry, str(self.path), RETRAIN) for line in lines]
        return [e["sec"] for e in entries if e["kind"] == kind and "sec" in e]

    def _scalars(self, kind: str, values: dict[str, float], step: int) -> None:
        if not self.enabled:
            return
        if self._board is None:
            from torch.utils.tensorboard import SummaryWriter  # slow to import

            purge = step if self._purge is not None else None
            self._board = SummaryWriter(str(self.path.parent / "tb"), purge_step=purge)
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                value = float(value)
            self._board.add_scalar(f"{kind}/{name}", value, step)
