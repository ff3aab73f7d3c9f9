# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Lists of jobs: written, read, and refused where they cannot be run."""

import json

import pytest
from fake_jobs import shell

from sertl.errors import SertlError
from sertl.jobs.job import check_order, read_jobs, write_jobs


def test_what_is_written_is_read_also_in_two_goes(tmp_path):
    jobs = [shell("/r", "a", "true"), shell("/r", "b", "true", ["a"], gpus=2, nodes=3)]
    for job in jobs:
        write_jobs(tmp_path / "list", [job])
    assert read_jobs(tmp_path / "list") == jobs


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"seed": "1"}, "seed"),
        ({"command": []}, "command"),
        ({"nodes": 0}, "nodes"),
        ({"odd": 1}, "unknown odd"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, change, what):
    path = tmp_path / "list"
    write_jobs(path, [shell("/r", "a", "true")])
    path.write_text(json.dumps(json.loads(path.read_text()) | change) + "\n")
    with pytest.raises(SertlError, match=f"line 1.*{what}"):
        read_jobs(path)


def test_jobs_that_cannot_be_in_order_are_refused():
    a, b = shell("/r", "a", "true"), shell("/r", "b", "true", ["a"])
    check_order([a, b])
    with pytest.raises(SertlError, match=r"needs /r/a\.log, which is not before it"):
        check_order([b, a])
    with pytest.raises(SertlError, match=r"two jobs write /r/a\.log"):
        check_order([a, a])
