# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""One training on several machines: who meets whom, for torchrun."""

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sertl.errors import SertlError

FIRST_PORT, PORTS = 20000, 20000  # of those that systems do not give away themselves, mostly


@dataclass(frozen=True)
class Placement:
    """Machines of one training.

    Attributes:
        nodes: How many.
        rank: Which of them this one is, from 0; empty: as Slurm says.
        meet: host:port of the first; empty: as Slurm says.
    """

    nodes: int = 1
    rank: str = ""
    meet: str = ""

    def command(self, processes: int, words: Sequence[str]) -> list[str]:
        """The command that runs a Python module in so many processes a machine.

        Args:
            processes: On each machine.
            words: -m MODULE.
        """
        if self.nodes == 1 and processes == 1:
            return [sys.executable, *words]
        options = ["--nnodes", str(self.nodes), "--nproc", str(processes)]
        if self.nodes > 1:
            options += ["--job", "{job}"]
            options += ["--node-rank", self.rank] if self.rank else []
            options += ["--rendezvous", self.meet] if self.meet else []
        return [sys.executable, "-m", "sertl.bin.launch", *options, *words]


def torchrun(place: Placement, processes: int, job: int, env: Mapping[str, str]) -> list[str]:
    """torchrun with its options, before the module to run.

    Args:
        place: Machines.
        processes: On each of them.
        job: Number of the training among those that the machines make one after another: each meets
            on a port of its own, as the last one's may still be closing.
        env: Of this process, with Slurm's variables if it was started by srun.

    Raises:
        SertlError: If it is not known which machine this is, or where to meet.
    """
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    if place.nodes == 1:
        return [*start, "--standalone"]
    rank = place.rank or env.get("SLURM_NODEID", "")
    if not rank:
        raise SertlError("which of the nodes is this? give --node-rank, or start it with srun")
    if not re.fullmatch(r"[0-9]{1,6}", rank) or int(rank) >= place.nodes:
        raise SertlError(f"--node-rank {rank}: expected 0 to {place.nodes - 1}")
    found = place.meet or _slurm_meeting(env)
    if not found:
        raise SertlError(
            "where do the nodes meet? give --rendezvous HOST:PORT, or start it with srun"
        )
    host, _, port = found.rpartition(":")
    if not host or not port.isdecimal() or not 1024 <= int(port) + job <= 65535:
        raise SertlError(
            f"--rendezvous {found}: expected HOST:PORT, with ports up to {job} above it free"
        )
    start += ["--nnodes", str(place.nodes), "--node-rank", str(int(rank))]
    return [*start, "--master-addr", host, "--master-port", str(int(port) + job)]


def _slurm_meeting(env: Mapping[str, str]) -> str:
    """The first node of Slurm's job, and a port that follows from the job's number."""
    names, number = env.get("SLURM_JOB_NODELIST", ""), env.get("SLURM_JOB_ID", "")
    if not names or not number.isdecimal():
        return ""
    first = _scontrol("hostnames", names).split()[0]
    shown = _scontrol("node", first, "--oneliner")
    address = re.search(r"\bNodeAddr=(\S+)", shown)
    return f"{address[1] if address else first}:{FIRST_PORT + int(number) * 7 % PORTS}"


def _scontrol(*words: str) -> str:
    command = ["scontrol", "show", *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise SertlError(f"{' '.join(command)} fails: {error}") from error
