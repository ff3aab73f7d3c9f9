# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The console command: help without torch, the nearest name, the modules behind it."""

import subprocess
import sys

import pytest

from sertl.bin.command import USERS, commands


def call(*words):
    code = (
        "import sys; sys.modules['torch'] = None; from sertl.bin.command import console; console()"
    )
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)


def test_help_lists_every_command():
    ran = call("--help")
    assert ran.returncode == 0
    for name in commands():
        assert f"  {name} " in ran.stdout
    assert set(USERS) <= set(commands())
    assert call("--version").stdout.count(".") == 2


def test_an_unknown_command_is_named_with_the_nearest():
    ran = call("predikt")
    assert ran.returncode == 1 and "did you mean 'predict'" in ran.stderr


@pytest.mark.parametrize("name", USERS)
def test_every_user_command_has_help(name):
    words = [sys.executable, "-m", "sertl.bin.command", name, "--help"]
    ran = subprocess.run(words, capture_output=True, text=True)
    assert ran.returncode == 0 and "usage: sertl" in ran.stdout and "Traceback" not in ran.stderr
