# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Errors at the command line: one message and a status, no traceback; bugs keep theirs."""

import errno

import pytest

from sertl.cli import run
from sertl.errors import SertlError


def failing(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SertlError("wav.scp:3: no such file"), "error: wav.scp:3: no such file"),
        (OSError(errno.ENOSPC, "full", "dump/a.ark"), "no space left while writing dump/a.ark"),
        (PermissionError(errno.EACCES, "Permission denied", "exp"), "error: exp: Permission"),
    ],
)
def test_message_without_traceback(error, message):
    with pytest.raises(SystemExit) as caught:
        run(failing(error))
    assert message in str(caught.value.code)


def test_interrupt_and_bug():
    with pytest.raises(SystemExit) as caught:
        run(failing(KeyboardInterrupt()))
    assert caught.value.code == 130
    with pytest.raises(ZeroDivisionError):
        run(failing(ZeroDivisionError()))
