# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Processor, GPU, memory, disk and bash."""

import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from sertl.doctor.finding import NOTE, OK, PROBLEM, WARNING, Finding

MIN_DISK_GIB, MIN_MEMORY_GIB = 5.0, 4.0


def processor() -> Iterator[Finding]:
    """Cores, threads, and whether bf16 is worth using on the CPU."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model = _proc_value("/proc/cpuinfo", "model name") or platform.processor() or "unknown"
    omp = os.environ.get("OMP_NUM_THREADS", "not set")
    text = f"{model}, {cores} cores, torch uses {torch.get_num_threads()} threads"
    yield Finding(OK, "processor", f"{text} (OMP_NUM_THREADS {omp})")
    flags = (_proc_value("/proc/cpuinfo", "flags") or "").split()
    fast = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags]
    text = "no bf16 arithmetic: dtype=bf16 would be slower than float32 on this CPU"
    if fast:
        text = f"bf16 arithmetic ({', '.join(fast)}): dtype=bf16 dumps features faster"
    yield Finding(OK if fast else NOTE, "processor", text)


def gpu() -> Iterator[Finding]:
    """GPUs that PyTorch can use, or why it cannot use those that are there."""
    import torch

    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    listed = _nvidia_smi()
    driver = f", driver {listed[0].rpartition(', ')[2]}" if listed else ""
    for i in range(count):
        properties = torch.cuda.get_device_properties(i)
        bf16 = "bf16" if properties.major >= 8 else "no bf16, use fp16"
        text = f"{i}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB, {bf16}"
        yield Finding(OK, "gpu", f"{text}, CUDA {torch.version.cuda}{driver}")
    if count == 0 and listed:
        why = f"torch {torch.__version__} is built for CUDA {torch.version.cuda}"
        if torch.version.cuda is None:
            why = f"torch {torch.__version__} is a build without CUDA"
        said = "; ".join(str(c.message).splitlines()[0] for c in complaints)
        text = f"{'; '.join(listed)} found, but PyTorch cannot use it: {why}. {said}".strip()
        yield Finding(WARNING, "gpu", f"{text} Choose another torch: tools/install.sh --help")
    elif count == 0:
        yield Finding(NOTE, "gpu", "none; everything runs on the CPU")


def _nvidia_smi() -> list[str]:
    """ "name, driver version" of each NVIDIA GPU of the machine."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.strip().splitlines() if done.returncode == 0 else []


def memory() -> Iterator[Finding]:
    """Memory that is free, within the limit of a container."""
    available = _kib(_proc_value("/proc/meminfo", "MemAvailable"))
    total = _kib(_proc_value("/proc/meminfo", "MemTotal"))
    if available is None or total is None:
        yield Finding(NOTE, "memory", "not known on this system")
        return
    text = f"{available:.1f} of {total:.1f} GiB available"
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and limit.read_text().strip().isdecimal():
        allowed = int(limit.read_text()) / 2**30
        used = int(limit.with_name("memory.current").read_text()) / 2**30
        used -= _reclaimable_gib(limit.with_name("memory.stat"))
        available = min(available, allowed - used)
        text += f", {allowed:.1f} GiB allowed to this container"
    if available < MIN_MEMORY_GIB:
        text += f"; under {MIN_MEMORY_GIB:.0f} GiB a base-size upstream needs --nj 1"
    yield Finding(OK if available >= MIN_MEMORY_GIB else WARNING, "memory", text)


def disk() -> Iterator[Finding]:
    """Room where recipes write, and where temporary files go."""
    for name, folder in (("here", Path.cwd()), ("temporary", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free / 2**30
        text = f"{name}: {folder}, {free:.1f} GiB free"
        needed = MIN_DISK_GIB if name == "here" else 0.5
        if not os.access(folder, os.W_OK):
            yield Finding(WARNING, "disk", f"{text}; not writable for you")
        elif free < needed:
            text += "; 13 layers of a base-size upstream take 3.3 GiB per hour of audio"
            yield Finding(WARNING, "disk", text)
        else:
            yield Finding(OK, "disk", text)


def shell() -> Iterator[Finding]:
    """bash of the recipes' scripts."""
    program = shutil.which("bash")
    if program is None:
        yield Finding(PROBLEM, "bash", "not found; the recipes' run.sh need it")
        return
    script = 'echo "$BASH_VERSION"; ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404))'
    done = subprocess.run([program, "-c", script], capture_output=True, text=True)
    version = done.stdout.strip()
    if done.returncode:
        text = f"{version} in {program} is too old for run.sh, which needs 4.4 or later"
        yield Finding(PROBLEM, "bash", f"{text}; put a newer one first in PATH")
    else:
        yield Finding(OK, "bash", version)


def _reclaimable_gib(stat: Path) -> float:
    """Pages of files, which a container gives back when it needs them, in GiB."""
    if not stat.is_file():
        return 0.0
    rows = dict(line.split() for line in stat.read_text().splitlines())
    return int(rows.get("inactive_file", 0)) / 2**30


def _proc_value(path: str, key: str) -> str | None:
    """The first "key : value" of a file in /proc, where there is one."""
    if not Path(path).is_file():
        return None
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def _kib(value: str | None) -> float | None:
    return None if value is None else int(value.split()[0]) / 2**20
