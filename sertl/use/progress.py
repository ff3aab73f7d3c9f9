# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""How far a long job is, and how long it still takes: a bar on a terminal, else some lines."""

import logging
import sys
import time

from tqdm import tqdm

logger = logging.getLogger(__name__)
EVERY_SEC = 30.0


class Progress:
    """Counts recordings.

    Args:
        total: Of them.
        done: That an earlier run has made.
        every_sec: Between two lines, where standard error is no terminal.
    """

    def __init__(self, total: int, done: int = 0, every_sec: float = EVERY_SEC):
        self.total, self.done, self._first, self.every_sec = total, done, done, every_sec
        self._begun = self._told = time.monotonic()
        shown = sys.stderr.isatty()
        self._bar = tqdm(total=total, initial=done, unit="recording", disable=not shown)
        self._silent = shown

    def add(self, count: int) -> None:
        """So many more are done."""
        self.done += count
        self._bar.update(count)
        now = time.monotonic()
        if not self._silent and now - self._told >= self.every_sec and self.done < self.total:
            self._told = now
            pace = (now - self._begun) / max(1, self.done - self._first)
            left = pace * (self.total - self.done)
            logger.info("%d of %d recordings, about %.0f s left", self.done, self.total, left)

    def close(self) -> None:
        """Leave the terminal's line."""
        self._bar.close()
