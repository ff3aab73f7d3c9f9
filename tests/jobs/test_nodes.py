# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Where the machines of a training meet."""

import pytest

from sertl.errors import SertlError
from sertl.jobs.nodes import FIRST_PORT, Placement, torchrun


def options(*given, **keywords):
    words = torchrun(*given, **keywords)
    assert words[1:3] == ["-m", "torch.distributed.run"]
    return " ".join(words[3:])


def test_one_machine_meets_itself():
    assert options(Placement(), 2, 0, {}) == "--nproc-per-node 2 --standalone"


def test_each_training_has_a_port_of_its_own():
    place = Placement(2, "01", "head:3000")
    assert options(place, 4, 0, {}).endswith(
        "--nnodes 2 --node-rank 1 --master-addr head --master-port 3000"
    )
    assert options(place, 4, 7, {}).endswith("--master-port 3007")


def test_slurm_s_variables(tmp_path, monkeypatch):
    fake = tmp_path / "scontrol"
    fake.write_text(
        "#!/bin/sh\n"
        'case "$2" in hostnames) echo a1; echo a2;; *) echo "X=1 NodeAddr=10.0.0.7";; esac'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    env = {"SLURM_NODEID": "1", "SLURM_JOB_NODELIST": "a[1-2]", "SLURM_JOB_ID": "12"}
    words = options(Placement(2), 1, 3, env)
    assert f"--node-rank 1 --master-addr 10.0.0.7 --master-port {FIRST_PORT + 12 * 7 + 3}" in words


@pytest.mark.parametrize(
    ("place", "what"),
    [
        (Placement(2), "which of the nodes is this"),
        (Placement(2, "2", "h:3000"), "expected 0 to 1"),
        (Placement(2, "x", "h:3000"), "expected 0 to 1"),
        (Placement(2, "0"), "where do the nodes meet"),
        (Placement(2, "0", "h"), "expected HOST:PORT"),
        (Placement(2, "0", "h:70000"), "expected HOST:PORT"),
        (Placement(2, "0", "h:²000"), "expected HOST:PORT"),
    ],
)
def test_what_is_missing_is_said(place, what):
    with pytest.raises(SertlError, match=what):
        torchrun(place, 1, 0, {})
