# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The tables of keys are made from the declarations, and say every key."""

import subprocess
import sys
from pathlib import Path

from sertl.bin.keys import tables
from sertl.schema.strict import defaults
from sertl.schema.training_keys import Phase

ROOT = Path(__file__).resolve().parents[2]


def keys(*args):
    command = [sys.executable, "-m", "sertl.bin.keys", *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_the_page_is_up_to_date():
    """Make it anew with: python -m sertl.bin.keys --markdown > docs/keys.md"""
    assert (ROOT / "docs/keys.md").read_text() == keys("--markdown").stdout


def test_words_choose():
    found = keys("data_conf", "speed").stdout
    assert "data_conf.augment.speed = []\n    a list, each a number from 0.5 to 2\n" in found
    assert "optim_conf" not in found
    none = keys("nonsense")
    assert none.returncode == 2 and "no key holds nonsense" in none.stderr


def test_every_key_of_a_phase_is_a_row_with_its_meaning():
    rows = {row.key: row for row in next(tables())[2]}

    def leaves(conf, prefix=""):
        for key, value in conf.items():
            if isinstance(value, dict) and value:
                yield from leaves(value, f"{prefix}{key}.")
            else:
                yield prefix + key

    assert {*rows} == {*leaves(defaults(Phase))}
    assert all(row.meaning and row.allowed for row in rows.values())
