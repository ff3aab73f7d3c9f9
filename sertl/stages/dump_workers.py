# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Chunks of a dump over processes: one thread or one GPU each, dealt out as they become free.

On a CPU several processes of one thread beat one process of several threads, which wait for each
other after every operation.
"""

import logging
import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from sertl.errors import SertlError
from sertl.log import setup_logging
from sertl.stages.dump_chunk import Chunk, Job, dump_chunk
from sertl.upstream.build import build_upstream
from sertl.upstream.encoder import Upstream

logger = logging.getLogger(__name__)


def choose_devices(nj: int, ngpu: int) -> list[str]:
    """One device name per process: ngpu GPUs if there are any wanted, else nj times the CPU."""
    if ngpu > 0:
        found = torch.cuda.device_count()
        if ngpu > found:
            raise SertlError(
                f"--ngpu {ngpu}, but PyTorch sees {found} GPUs (CUDA_VISIBLE_DEVICES="
                f"{os.environ.get('CUDA_VISIBLE_DEVICES', '(not set)')}); use --ngpu 0 for the CPU"
            )
        return [f"cuda:{i}" for i in range(ngpu)]
    if nj < 1:
        raise SertlError(f"--nj is {nj}, expected 1 or more")
    return ["cpu"] * nj


def run_chunks(
    job: Job, chunks: Sequence[Chunk], devices: Sequence[str], upstream: Upstream | None = None
) -> Iterator[Chunk | None]:
    """Dump every chunk and yield each when it is done; one device works in this very process.

    When the caller stops early, by an error or Ctrl-C, so do all workers. Call it from the main
    thread, the only one that may set how Ctrl-C is handled.

    Args:
        job: What to do.
        chunks: In this order.
        devices: A process each.
        upstream: The encoder, for a single device; None builds it from the job's conf.

    Yields:
        None for each worker that has loaded the upstream, and the chunks.

    Raises:
        SertlError: What dump_chunk raises in any worker, or that a worker was killed.
    """
    devices = devices[: len(chunks)]
    if len(devices) > 1:
        yield from _run_apart(job, chunks, devices)
    elif chunks:
        with _one_thread():
            upstream, device = _build(job, devices[0], upstream)
            yield None
            for chunk in chunks:
                dump_chunk(upstream, device, job, chunk)
                yield chunk


def _build(job: Job, name: str, upstream: Upstream | None = None):
    """The encoder, built from the job's conf if it is not given, on its device.

    Raises:
        SertlError: If it is to go on from the dump later, and cannot.
    """
    device = torch.device(name)
    # Convolutions in TF32, PyTorch's default on a GPU, would cost more than the 1e-4 promised.
    torch.backends.cudnn.allow_tf32 = False
    if upstream is None:
        upstream = build_upstream(job.conf)
    if job.resumed:
        upstream.check_resume(max(job.layers))
    return upstream.to(device), device


def _run_apart(job: Job, chunks: Sequence[Chunk], devices: Sequence[str]) -> Iterator[Chunk | None]:
    todo = deque(chunks)
    processes: dict[Connection, BaseProcess] = {}
    busy: dict[Connection, Chunk | None] = {}
    try:
        with _start_conditions():
            for device in devices:
                connection, process = _start(job, device)
                processes[connection], busy[connection] = process, None
        while busy:
            for connection in wait(list(busy)):
                done = busy[connection]
                try:
                    answer = connection.recv()
                except (EOFError, ConnectionError):
                    processes[connection].join()
                    raise _killed(processes[connection].exitcode, done) from None
                if isinstance(answer, Exception):
                    raise answer
                if todo:
                    busy[connection] = todo.popleft()
                    connection.send(busy[connection])
                else:
                    del busy[connection]
                yield done
    finally:
        for process in processes.values():
            process.terminate()
        for connection, process in processes.items():
            process.join()
            connection.close()


def _start(job: Job, device: str) -> tuple[Connection, BaseProcess]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(job, device, theirs), daemon=True)
    process.start()
    theirs.close()  # so that the end of the worker is the end of the pipe
    return ours, process


def _work(job: Job, device_name: str, connection: Connection) -> None:
    """A worker: says that it is ready, then dumps each chunk it is sent and says so."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    setup_logging()
    try:
        upstream, device = _build(job, device_name)
        while True:
            connection.send(None)
            dump_chunk(upstream, device, job, connection.recv())
    except EOFError:
        return
    except (SertlError, OSError) as error:
        connection.send(error)
    except Exception:
        connection.send(RuntimeError(f"in a worker on {device_name}:\n{traceback.format_exc()}"))


def _exit_with_parent() -> None:
    """End this process when the parent is gone, be it by kill -9, and not write on unasked."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _killed(exitcode: int | None, chunk: Chunk | None) -> SertlError:
    doing = "while loading the upstream"
    if chunk is not None:
        longest = chunk.utts[0]
        doing = (
            f"in chunk {chunk.number}, {len(chunk.utts)} utterances of at most "
            f"{longest.dur_sec:.1f} s, e.g. {longest.utt} ({longest.wav})"
        )
    how = f"with exit status {exitcode}"
    if exitcode is not None and exitcode < 0:
        how = f"by signal {-exitcode} ({signal.Signals(-exitcode).name})"
    return SertlError(
        f"a worker was ended {how} {doing}. If the memory ran out (SIGKILL), use a smaller --nj or "
        "--batch-sec; what is done is kept"
    )


@contextmanager
def _start_conditions() -> Iterator[None]:
    """Workers inherit: no reaction to Ctrl-C, which is the parent's, and one thread per library."""
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(dict.fromkeys(variables, "1"))
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
