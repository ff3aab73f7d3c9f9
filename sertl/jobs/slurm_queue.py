# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Jobs handed to Slurm through submitit: arrays of commands, their states as squeue has them."""

import logging
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sertl.errors import SertlError, check_count
from sertl.jobs.job import Job

if TYPE_CHECKING:
    import submitit

logger = logging.getLogger(__name__)
NAME = "sertl"  # of all jobs: scancel --name sertl
PARALLEL = 1000  # jobs in the queue or at work, where no setting says how many
TIMEOUTS = 1000  # after each of which a job goes on where it was; progress shows in its log
SIGNAL_SEC = 90  # Slurm's signal comes so long before the end of the time, or a quarter of it
OVER = {
    "PREEMPTED",
    "REVOKED",
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "OUT_OF_MEMORY",
    "NODE_FAIL",
    "BOOT_FAIL",
    "DEADLINE",
}
SILENT = 300  # looks at which squeue may fail in a row, as where a controller is busy
LOOKS = 3  # at which a job is nowhere to be seen until it counts as lost: a shared disk may be late
# USR2 tells submitit, not the command, that the time is nearly over.
SCRIPT = """trap "" USR2
cd -- "$1" || exit 1
log=$2
if [[ ${SLURM_NODEID:-0} != 0 ]]; then log=$log.node$SLURM_NODEID; fi
shift 2
mkdir -p -- "$(dirname -- "$log")" || exit 1
exec "$@" >> "$log" 2>&1 < /dev/null"""


class SlurmQueue:
    """A Backend of Slurm.

    A job that Slurm stops for its time, or to make room, is put back into the queue and goes on
    where its phase was saved.

    Args:
        folder: For submitit's files, on a disk that the nodes share.
        settings: Long options of sbatch without dashes, as time=240, partition=gpu, mem=8G; and
            parallel: jobs in the queue at a time, poll: seconds between two looks.

    Raises:
        SertlError: No Slurm, no submitit, or settings that cannot be.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        try:
            import submitit
        except ImportError as error:
            raise SertlError(
                "--cluster slurm needs submitit: pip install 'sertl[cluster]'"
            ) from error
        options = {key.replace("-", "_"): value for key, value in settings.items()}
        self._parallel = _whole(options, "parallel", PARALLEL)
        self.poll_sec = float(_whole(options, "poll", 2))
        self._array = _largest_array()
        self._common: dict[str, Any] = {"job_name": NAME, "wckey": "", "stderr_to_stdout": True}
        time = minutes(options.pop("time", "60"))
        warning = _whole(options, "signal", min(SIGNAL_SEC, 15 * time))
        if warning >= 60 * time:  # Slurm would put each job back as soon as it has begun
            raise SertlError(f"signal={warning}: seconds before the end of {time} min, so fewer")
        self._common |= {"time": time, "signal_delay_s": warning}
        self._common["cpus_per_task"] = _whole(options, "cpus_per_task", 1)
        self._cards_asked = bool(
            options.keys() & {"gres", "gpus", "gpus_per_node", "gpus_per_task"}
        )
        self._common["additional_parameters"] = {k.replace("_", "-"): v for k, v in options.items()}
        files = folder.absolute() / "%j"
        self._executor = submitit.SlurmExecutor(files, max_num_timeout=TIMEOUTS)
        self._active: dict[str, tuple[Job, submitit.Job]] = {}
        self._missed: dict[str, int] = {}
        self._silent = 0
        self._at_work: set[str] = set()

    def room(self) -> int:
        """As Backend."""
        return max(0, self._parallel - len(self._active))

    def start(self, jobs: Sequence[Job]) -> None:
        """As Backend: an array for jobs of as many nodes and cards, as long as the site lets it."""
        for nodes, gpus in sorted({(job.nodes, job.gpus) for job in jobs}):
            own = [job for job in jobs if (job.nodes, job.gpus) == (nodes, gpus)]
            for place in range(0, len(own), self._array):
                self._submit(own[place : place + self._array], nodes, gpus)

    def _submit(self, jobs: Sequence[Job], nodes: int, gpus: int) -> None:
        from sertl.jobs.resumed_command import ResumedCommand

        cards = {"gpus_per_node": gpus if gpus and not self._cards_asked else None}
        self._executor.update_parameters(**self._common, **cards, nodes=nodes, ntasks_per_node=1)
        commands = [
            ResumedCommand(["bash", "-c", SCRIPT, NAME, job.folder, job.log, *job.command])
            for job in jobs
        ]
        try:
            with self._executor.batch():
                made = [self._executor.submit(command) for command in commands]
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            raise SertlError(f"sbatch took no jobs: {_last_line(error)}") from error
        ids = [one.job_id for one in made]
        logger.info("Slurm has %d jobs more, %s to %s", len(made), ids[0], ids[-1])
        for job, one in zip(jobs, made, strict=True):
            self._active[one.job_id] = (job, one)

    def ended(self) -> list[tuple[Job, str]]:
        """As Backend."""
        if not self._active:
            return []
        states, over = self._look(), []
        self._at_work = {i for i in self._active if states.get(i) in ("RUNNING", "COMPLETING")}
        for number, (job, one) in list(self._active.items()):
            why = self._result(one)
            if why is None and states.get(number, "gone") in OVER | {"gone"}:
                self._missed[number] = self._missed.get(number, 0) + 1
                if self._missed[number] >= LOOKS:
                    state = states.get(number, "no longer in the queue").lower()
                    why = f"{state}, without a result; Slurm's own log: {one.paths.stdout}"
            elif why is None:
                self._missed.pop(number, None)
            if why is not None:
                over.append((job, why))
                del self._active[number]
        return over

    def _look(self) -> dict[str, str]:
        """States of this user's jobs; "unknown" of each where squeue does not answer."""
        try:
            found, self._silent = _states(), 0
        except SertlError as error:
            self._silent += 1
            if self._silent > SILENT:
                raise
            if self._silent == 1:
                logger.warning("%s; asked again", error)
            found = dict.fromkeys(self._active, "UNKNOWN")
        return found

    @staticmethod
    def _result(one: "submitit.Job") -> str | None:
        """How a job failed, in words, none if it ended well; None if it has not ended."""
        paths = [sub.paths.result_pickle for sub in one._sub_jobs or [one]]
        if not all(path.exists() for path in paths):
            return None
        error = one.exception()
        if error is None:
            return ""
        status = re.findall(r"exit status (\d+)", str(error))
        killed = re.findall(r"died with <Signals\.(\w+)", str(error))
        if status or killed:
            return f"status {status[-1]}" if status else f"signal {killed[-1]}"
        return f"stopped; Slurm's own log: {one.paths.stdout}"

    def running(self) -> list[Job]:
        """As Backend."""
        return [self._active[number][0] for number in self._at_work & self._active.keys()]

    def stop(self) -> None:
        """As Backend."""
        numbers = list(self._active)
        for place in range(0, len(numbers), 200):
            subprocess.run(["scancel", *numbers[place : place + 200]], check=False)
        if numbers:
            logger.info("%d jobs cancelled", len(numbers))


def _states() -> dict[str, str]:
    """State of each of this user's jobs that Slurm still knows, by its id."""
    words = ["squeue", "--me", "--noheader", "--array", "--states=all", "--format=%i|%T"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SertlError(f"squeue does not answer: {done.stderr.strip()}")
    pairs = (line.strip().partition("|") for line in done.stdout.splitlines())
    return {number: state for number, _, state in pairs}


def _largest_array() -> int:
    """The site's MaxArraySize, which is one more than an array's last number."""
    try:
        words = ["scontrol", "show", "config"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        what = _last_line(error)
        raise SertlError(f"--cluster slurm: scontrol does not answer here ({what})") from error
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", done.stdout, re.MULTILINE)
    return max(1, int(found[1]) - 1) if found else PARALLEL


def minutes(text: str) -> int:
    """Minutes of sbatch's --time: 240, 90:30 (minutes, seconds), 4:00:00, 1-12, 1-12:30:00.

    Raises:
        SertlError: If it is none of these.
    """
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if not found:
        raise SertlError(f"time={text}: expected minutes, HH:MM:SS or D-HH:MM:SS")
    days, *parts = (int(part or 0) for part in found.groups())
    first, second, third = parts
    if found[1] is not None:
        total = days * 1440 + first * 60 + second + (third > 0)
    elif found[4] is not None:
        total = first * 60 + second + (third > 0)
    else:
        total = first + (second > 0)
    if total < 1:
        raise SertlError(f"time={text}: no time at all")
    return total


def _whole(options: dict[str, str], name: str, otherwise: int) -> int:
    """Take a whole number of at least 1 out of options."""
    text = options.pop(name, str(otherwise))
    check_count(f"{name}={text}", int(text) if text.isdecimal() else text)
    return int(text)


def _last_line(error: BaseException) -> str:
    text = getattr(error, "stderr", None) or str(error)
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
