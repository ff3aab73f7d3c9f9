# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Two processes do not write to one folder: the second waits, or says so."""

import fcntl
import threading

import pytest

from sertl.errors import SertlError
from sertl.lock import alone


def test_a_second_run_waits_for_the_first(tmp_path):
    entered = threading.Event()

    def second():
        with alone(tmp_path / "out", wait=True):
            entered.set()

    with open(tmp_path / ".out.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.2)
    thread.join(5)
    assert entered.is_set()


def test_a_second_training_is_refused(tmp_path):
    with alone(tmp_path / "main", wait=False):
        with pytest.raises(SertlError, match=r"main: another process is writing it"):
            with alone(tmp_path / "main", wait=False):
                raise AssertionError("not reached")
        with alone(tmp_path / "frames", wait=False):
            pass
    with alone(tmp_path / "main", wait=False):
        pass
