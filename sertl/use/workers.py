# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Run a model on items in this process, or in several, each with a model of its own."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import TypeVar

from sertl.errors import SertlError
from sertl.use.opening import AnyPredictor, Opening

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 2  # items per process that wait, so that memory stays bounded

_predictor: AnyPredictor | None = None  # of a worker process


def each(
    predictor: AnyPredictor,
    opening: Opening,
    job: Callable[[AnyPredictor, Item], Result],
    items: Iterable[Item],
    nj: int = 1,
) -> Iterator[Result]:
    """Yield job(predictor, item) of each item, in order.

    Args:
        predictor: For this process.
        opening: How it was opened, for others.
        job: A function of a module, which other processes can find.
        items: Small: what is large is read by the job.
        nj: Processes.

    Raises:
        SertlError: What the job raises; a process that died.
    """
    if nj == 1:
        for item in items:
            yield job(predictor, item)
        return
    threads = max(1, (os.cpu_count() or 1) // nj)
    context = multiprocessing.get_context("spawn")
    arguments = (replace(opening, threads=threads),)
    pool = ProcessPoolExecutor(nj, context, _begin, arguments)
    try:
        waiting: deque = deque()
        for item in items:
            waiting.append(pool.submit(_work, job, item))
            if len(waiting) > AHEAD * nj:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise SertlError(
            f"one of {nj} processes died, perhaps for want of memory; run the same command again "
            "with a smaller --nj or --batch-sec"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(opening: Opening) -> None:
    """Open the model of a worker process."""
    global _predictor
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    _predictor = opening.open()


def _work(job: Callable, item: object) -> object:
    return job(_predictor, item)
