# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A short sample of the campaign; the whole of it: python tests/campaign/campaign.py --help"""

import os
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import damage
import kills
from kinds import KINDS

SAMPLE = 12  # cases of a kind


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("campaign")
    os.environ["SERTL_CAMPAIGN"] = str(folder)
    yield folder
    del os.environ["SERTL_CAMPAIGN"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_damaged_input_is_refused_in_a_line_or_harmless(kind, tmp_path):
    outcomes = damage.run_kind(kind, range(SAMPLE), 7, tmp_path)
    assert len(outcomes) == SAMPLE and any(o.result == "refused" for o in outcomes)
    assert [o for o in outcomes if o.result in damage.BAD] == []


def test_the_campaign_sees_what_it_looks_for(tmp_path):
    def raises(folder):
        raise KeyError((folder / "a").read_text())

    def make(folder):
        (folder / "a").write_text("good")

    def lenient(folder):
        return (folder / "a").read_text(errors="replace")

    def runs(folder, rng):
        (folder / damage.CANARY).touch()
        return "x"

    bad = damage.Kind("bad", make, own=lambda folder, rng: raises(folder))
    assert {o.result for o in damage.run_kind(bad, range(3), 1, tmp_path / "1")} == {"traceback"}
    changed = damage.Kind("changed", make, lenient, ("a",), ("a",))
    found = damage.run_kind(changed, range(20), 1, tmp_path / "2")
    assert any(o.result == "changed" for o in found)
    executed = damage.Kind("executed", make, own=runs)
    assert {o.result for o in damage.run_kind(executed, range(2), 1, tmp_path / "3")} == {
        "executed"
    }


def test_kills_change_no_number(tmp_path):
    assert kills.campaign(tmp_path, 1, random.Random(3), ("one_fold",)) == 0
