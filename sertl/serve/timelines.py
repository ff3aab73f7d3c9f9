# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Timelines that requests ask for: a few at a time, and none that nobody waits for any more."""

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sertl.serve.request_queue import Busy
from sertl.use.opening import AnyPredictor
from sertl.use.prediction import Prediction
from sertl.use.timeline import Plan, Timeline, timeline


class Timelines:
    """Makes timelines in threads of its own.

    Args:
        most: At a time; more are refused.
    """

    def __init__(self, most: int):
        self.most = most
        self._places = threading.BoundedSemaphore(most)
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="timeline")

    async def make(self, predictor: AnyPredictor, path: str, plan: Plan, sec: float) -> Timeline:
        """The timeline of a recording, see use/timeline.py.

        Args:
            predictor: Any.
            path: Audio file; it may go once this has ended, however.
            plan: How.
            sec: That it may take.

        Raises:
            Busy: As many as may be are being made.
            TimeoutError: It takes longer. Work ends soon after; until then its place is taken.
            SertlError: What timeline raises.
        """
        if not self._places.acquire(blocking=False):
            raise Busy(f"{self.most} timelines are being made; try again in a moment")
        bounded = Until(predictor, time.monotonic() + sec)
        work = self._threads.submit(timeline, bounded, path, plan)
        work.add_done_callback(lambda _: self._places.release())
        return await asyncio.wait_for(asyncio.wrap_future(work), sec)

    def close(self) -> None:
        """Take no more."""
        self._threads.shutdown(wait=False)


class Until:
    """A predictor that ends the work it is asked for: nothing else can end that of a thread.

    Args:
        predictor: Any.
        until: When, as time.monotonic() has it.
    """

    def __init__(self, predictor: AnyPredictor, until: float):
        self.labels, self.remembers = predictor.labels, predictor.remembers
        self._predictor, self._until = predictor, until

    def predict(
        self,
        wavs: Sequence[np.ndarray],
        speakers: Sequence[str | None] | None = None,
        vectors: bool = False,
        remember: bool = True,
    ) -> list[Prediction]:
        """As AnyPredictor.

        Raises:
            TimeoutError: It is later.
        """
        if time.monotonic() > self._until:
            raise TimeoutError
        return self._predictor.predict(wavs, speakers, vectors, remember)
