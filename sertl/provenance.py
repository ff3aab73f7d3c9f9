# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What made a result: code version, library versions, machine, memory."""

import platform
import resource
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("torch", "espnet-s3prl", "s3prl", "transformers", "numpy", "scikit-learn", "kaldiio")


def commit() -> str:
    """Commit of the checkout that runs, with "+changes" if it was edited; "unknown" outside one."""
    folder = Path(__file__).resolve().parent
    try:
        head = _git(folder, "rev-parse", "--short=12", "HEAD")
        dirty = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+changes" if dirty else "")


def environment() -> dict[str, str]:
    """Versions of Python and of the packages a result depends on."""
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def peak_rss_gib() -> float:
    """Largest resident memory of this process so far, in GiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)


def _git(folder: Path, *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()
