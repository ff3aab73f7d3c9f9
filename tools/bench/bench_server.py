#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Load a server on the loopback address: requests a second, p50 and p99, memory, bad requests.

Example: tools/bench/bench_server.py --model emotion.onnx --wavs /corpora/emodb/wav --requests 10000
"""

import argparse
import logging
import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
from machine import print_machine

from sertl.cli import run

BAD = (b"", b"RIFF", b"\0" * 5000, b"RIFF\xff\xff\xff\x7fWAVEfmt ", b"fLaC" + b"x" * 200)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--wavs", required=True)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=8)
    args = parser.parse_args()
    words = [sys.executable, "-m", "sertl.bin.serve", "--model", args.model, "--port", "0"]
    env = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env)
    try:
        url = server.stdout.readline().split()[0]
        load(url, server.pid, args)
    finally:
        server.terminate()
        server.wait(30)


def load(url: str, pid: int, args: argparse.Namespace) -> None:
    """Send the requests, one in twenty of them bad, and print what came of it."""
    clips = [path.read_bytes() for path in sorted(Path(args.wavs).rglob("*.wav"))[:50]]
    wait_for(url)
    here, times, wrong = threading.local(), [], []
    memory: list[tuple[int, float]] = []

    def ask(number: int) -> None:
        if not hasattr(here, "client"):
            here.client = httpx.Client(timeout=120)
        rng = random.Random(number)
        bad = number % 20 == 0
        content = rng.choice(BAD) if bad else rng.choice(clips)
        begun = time.perf_counter()
        answer = here.client.post(f"{url}/predict", files={"files": ("a.wav", content)})
        if not bad:
            times.append(time.perf_counter() - begun)
        if answer.status_code != (422 if bad else 200):
            wrong.append((number, answer.status_code, answer.text[:200]))
        if number % max(1, args.requests // 5) == 0:
            memory.append((number, resident(pid)))

    ask(1)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request
    print_machine()
    print(f"{args.clients} clients")
    begun = time.perf_counter()
    with ThreadPoolExecutor(args.clients) as pool:
        list(pool.map(ask, range(2, args.requests + 2)))
    took = time.perf_counter() - begun
    p50, p99 = np.percentile(times, [50, 99])
    print(
        f"{args.requests} requests in {took:.0f} s: {args.requests / took:.1f} a second, p50 "
        f"{1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms; {len(wrong)} answered wrongly {wrong[:3]}"
    )
    memory.append((args.requests, resident(pid)))
    print("memory, MiB:", ", ".join(f"{mib:.0f} after {n}" for n, mib in sorted(memory)))


def wait_for(url: str) -> None:
    """Until the server answers."""
    for _ in range(600):
        try:
            httpx.get(f"{url}/health", timeout=5)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    sys.exit("the server does not answer")


def resident(pid: int) -> float:
    """MiB that a process holds."""
    return (
        int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    )


if __name__ == "__main__":
    run(main)
