# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Requests that come together are predicted together: a queue, and one thread that empties it."""

import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from sertl.errors import SertlError
from sertl.use.opening import AnyPredictor
from sertl.use.prediction import Prediction


class Busy(SertlError):
    """More requests wait than the server takes."""


@dataclass
class Waiting:
    """A clip that waits for its prediction."""

    wav: np.ndarray
    spk: str | None
    done: Future = field(default_factory=Future)


class Batcher:
    """Collects clips for at most wait_sec, or until a batch is full, and predicts them at once.

    Args:
        predictor: Any.
        batch_sec: Padded seconds of a batch.
        wait_sec: That the first clip of a batch waits for others.
        most_waiting: Clips beyond which requests are refused.
    """

    def __init__(
        self,
        predictor: AnyPredictor,
        batch_sec: float = 60.0,
        wait_sec: float = 0.005,
        most_waiting: int = 256,
    ):
        self.predictor, self.batch_sec, self.wait_sec = predictor, batch_sec, wait_sec
        self._queue: queue.Queue[Waiting | None] = queue.Queue(most_waiting)
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Clips in the queue."""
        return self._queue.qsize()

    def submit(self, wav: np.ndarray, spk: str | None = None) -> "Future[Prediction]":
        """Queue a clip (N,) float32 at 16 kHz.

        Raises:
            Busy: If too many wait.
        """
        one = Waiting(wav, spk)
        try:
            self._queue.put_nowait(one)
        except queue.Full as error:
            raise Busy(f"{self._queue.maxsize} clips are waiting; try again in a moment") from error
        return one.done

    def close(self) -> None:
        """Predict what waits, and end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        held: Waiting | None = None
        while True:
            first = held or self._queue.get()
            held = None
            if first is None:
                return
            batch, longest = [first], len(first.wav)
            until = time.monotonic() + self.wait_sec
            while True:
                try:
                    one = self._queue.get(timeout=max(0.0, until - time.monotonic()))
                except queue.Empty:
                    break
                if one is None:
                    self._queue.put(None)
                    break
                longest = max(longest, len(one.wav))
                if longest * (len(batch) + 1) > self.batch_sec * 16000:
                    held = one
                    break
                batch.append(one)
            self._predict(batch)

    def _predict(self, batch: list[Waiting]) -> None:
        batch = [one for one in batch if one.done.set_running_or_notify_cancel()]
        if not batch:
            return
        try:
            said = self.predictor.predict([b.wav for b in batch], [b.spk for b in batch])
        except Exception as error:  # one bad clip must not take the others, nor the thread, with it
            if len(batch) > 1:
                for one in batch:
                    self._alone(one)
            else:
                batch[0].done.set_exception(error)
            return
        for one, prediction in zip(batch, said, strict=True):
            one.done.set_result(prediction)

    def _alone(self, one: Waiting) -> None:
        try:
            one.done.set_result(self.predictor.predict([one.wav], [one.spk])[0])
        except Exception as error:
            one.done.set_exception(error)
