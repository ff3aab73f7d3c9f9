# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Logging set-up shared by every command."""

import logging
import os
import sys

FORMAT = "%(asctime)s %(levelname)s %(message)s"


def setup_logging(rank: int | None = None) -> None:
    """Log to standard error; in a multi-process run only rank 0 logs below warnings."""
    if rank is None:
        rank = int(os.environ.get("RANK", "0"))
    logging.basicConfig(
        level=logging.INFO if rank == 0 else logging.WARNING,
        format=FORMAT,
        datefmt="%H:%M:%S",
        stream=sys.stderr,
        force=True,
    )
