# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Jobs of a shell command each."""

from sertl.jobs.job import Job


def shell(folder, name, script, needs=(), stage="train", **more):
    """A job that runs a line of bash in folder and logs to <name>.log."""
    log = f"{name}.log"
    keys = tuple(f"{folder}/{other}.log" for other in needs)
    command = ("bash", "-c", script)
    return Job(stage, command, str(folder), log, "exp/t", 1, (1,), ("main",), keys, **more)
