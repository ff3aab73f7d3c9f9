# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""bf16 is taken where it pays, and refused where it is imitated."""

from pathlib import Path

import pytest

from sertl.errors import SertlError
from sertl.stages.experiment import resolve
from sertl.upstream import precision
from sertl.upstream.precision import bf16_share, chosen_dtype

CONF = Path(__file__).resolve().parents[2] / "conf"


@pytest.fixture
def share(monkeypatch):
    """A function: the machine takes so much of float32's time for bf16."""

    def set_to(value):
        monkeypatch.setattr(precision, "bf16_share", lambda device="cpu": value)

    return set_to


@pytest.mark.parametrize(
    ("dtype", "taken", "found"),
    [
        ("float32", 0.2, "float32"),
        ("float32", 70.0, "float32"),
        ("auto", 0.3, "bf16"),
        ("auto", 0.95, "float32"),
        ("auto", 70.0, "float32"),
        ("bf16", 0.3, "bf16"),
        ("bf16", 1.2, "bf16"),
    ],
)
def test_what_a_dtype_means(share, dtype, taken, found):
    share(taken)
    assert chosen_dtype(dtype) == found


def test_imitated_bf16_is_refused_and_slow_bf16_is_said(share, caplog):
    share(70.0)
    with pytest.raises(SertlError, match="no bf16 arithmetic, it would take 70.0 times as long"):
        chosen_dtype("bf16")
    share(1.2)
    chosen_dtype("bf16")
    assert "upstream.dtype=bf16 takes 1.20 times float32's time" in caplog.text


def test_the_machine_is_asked_once():
    assert bf16_share() == bf16_share() > 0.0


def test_auto_is_resolved_when_the_configuration_is_written(share):
    share(0.3)
    settings = ["upstream.dtype=auto"]
    assert resolve(CONF, "fbank", "probe", settings)["upstream"]["dtype"] == "bf16"
    share(3.0)
    assert resolve(CONF, "fbank", "probe", settings)["upstream"]["dtype"] == "float32"
    kept = resolve(CONF, "fbank", "probe", settings, before="bf16")
    assert kept["upstream"]["dtype"] == "bf16"
