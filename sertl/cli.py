# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What every command-line script does around its work: logging and errors without tracebacks."""

import errno
import sys
from collections.abc import Callable

from sertl.errors import SertlError
from sertl.log import setup_logging


def run(main: Callable[[], None]) -> None:
    """Call main; turn a user's error into one message and exit status 1 (130 for Ctrl-C)."""
    setup_logging()
    try:
        main()
    except SertlError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            sys.exit(
                f"error: no space left while writing {error.filename or 'output'}; free some "
                "space and run the same command again"
            )
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG):
            sys.exit(f"error: {error.filename or 'output'}: {error.strerror}")
        raise
