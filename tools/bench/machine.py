# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What the benchmarks share: the state of the machine, processes to measure in, tables."""

import contextlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from sertl import provenance

HERE = Path(__file__).resolve().parent
CONF_DIR = HERE.parents[1] / "conf"


def print_machine() -> None:
    """Print the processor, its load, and the versions that a figure depends on."""
    cores = len(os.sched_getaffinity(0))
    one, five, fifteen = os.getloadavg()
    print(f"processor: {_cpu('model name')}, {cores} cores, bf16: {', '.join(_bf16()) or 'none'}")
    print(f"load average: {one:.2f} {five:.2f} {fifteen:.2f} (1, 5, 15 min, before this run)")
    if one > 0.3:
        print("WARNING: other work is running; compare the ratios, not the seconds")
    print(f"memory: {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB")
    versions = ", ".join(f"{name} {v}" for name, v in provenance.environment().items())
    print(f"{platform.system()} {platform.release()}; {versions}; commit {provenance.commit()}\n")


def _cpu(field: str) -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    found = [line.split(":", 1)[1].strip() for line in lines if line.startswith(field)]
    return found[0] if found else platform.processor() or "unknown"


def _bf16() -> list[str]:
    return [flag for flag in ("avx512_bf16", "amx_bf16") if flag in _cpu("flags").split()]


def measure(script: str, threads: int = 1, **arguments: object) -> dict:
    """Run a script of this folder in a process of its own; say on stderr what it found.

    Args:
        script: It gets arguments as JSON in its one argument, and prints JSON in its last line.
        threads: OMP_NUM_THREADS, also among the arguments.

    Returns:
        What it printed.
    """
    done = subprocess.run(
        [sys.executable, str(HERE / script), json.dumps({"threads": threads, **arguments})],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )
    if done.returncode:
        raise SystemExit(f"{script} failed on {arguments}:\n{done.stderr}")
    found = done.stdout.splitlines()[-1]
    print(f"{script} {arguments}: {found}", file=sys.stderr, flush=True)  # a run may take an hour
    return json.loads(found)


def peak_gib() -> float:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


class PeakOfAll:
    """Largest memory of this process and its children together, while in this context, in GiB.

    Pages that several share, such as libraries, count once (PSS), which getrusage cannot tell.
    """

    def __init__(self):
        self.gib, self._over = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakOfAll":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        import psutil  # of the extra "test"; benchmarks of one process do without

        while not self._over.wait(0.2):
            total = 0
            for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
                with contextlib.suppress(psutil.Error):  # it has ended
                    total += process.memory_full_info().pss
            self.gib = max(self.gib, total / 2**30)


def summary(values: Sequence[float], unit: str = "s") -> str:
    """Median, and the range of all rounds."""
    middle = statistics.median(values)
    return f"{middle:.2f} {unit} ({min(values):.2f}-{max(values):.2f}, n={len(values)})"


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    widths = [max(len(str(r[i])) for r in [head, *rows]) for i in range(len(head))]
    for row in [head, ["-" * w for w in widths], *rows]:
        print("| " + " | ".join(str(c).ljust(w) for c, w in zip(row, widths, strict=True)) + " |")
