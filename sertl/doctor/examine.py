# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""All checks of the doctor, in the order of the report."""

import traceback
from collections.abc import Callable, Iterable, Iterator

from sertl.doctor.abilities import audio, espeak, upstreams
from sertl.doctor.finding import PROBLEM, Finding, reason
from sertl.doctor.machine import disk, gpu, memory, processor, shell
from sertl.doctor.packages import packages, python, s3prl_ledger

CHECKS = (
    python,
    packages,
    s3prl_ledger,
    audio,
    upstreams,
    processor,
    gpu,
    memory,
    disk,
    shell,
    espeak,
)


def examine(checks: Iterable[Callable[[], Iterator[Finding]]] = CHECKS) -> list[Finding]:
    """Run checks and return what they found; a check that itself fails is a problem found."""
    found: list[Finding] = []
    for check in checks:
        try:
            for finding in check():
                found.append(finding)
        except Exception as error:  # any failure of a check is a result
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"the check failed: {reason(error)} ({where.filename}:{where.lineno})"
            found.append(Finding(PROBLEM, check.__name__, text))
    return found
