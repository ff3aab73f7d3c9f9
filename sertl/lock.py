# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""One process at a time in a folder: two runs may well ask for the same work."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sertl.errors import SertlError

logger = logging.getLogger(__name__)


@contextmanager
def alone(folder: Path, wait: bool, shared: bool = False) -> Iterator[None]:
    """Hold `.<name>.lock` beside folder while it is written; a process that dies lets go of it.

    Args:
        folder: To write to; may not exist yet, and may be deleted meanwhile.
        wait: Until another process has finished; else its presence is an error.
        shared: Beside others that share it, who write other files; not beside one that does not.

    Raises:
        SertlError: If another process writes to folder, unless wait.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with open(folder.with_name(f".{folder.name}.lock"), "w") as stream:
        try:
            fcntl.flock(stream, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise SertlError(
                    f"{folder}: another process is writing it, perhaps of a run.sh that was "
                    "killed; wait for it, or end it"
                ) from None
            logger.info("%s: another process is writing it; waiting", folder)
            fcntl.flock(stream, kind)
        except OSError as error:
            logger.warning("%s: no file locks here (%s); do not write it twice", folder, error)
        yield


def held(folder: Path) -> bool:
    """Whether a process is writing to folder; False on a disk without locks."""
    path = folder.with_name(f".{folder.name}.lock")
    if not path.is_file():
        return False
    with open(path) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False
