# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Options of serve and demo are checked before any model is opened."""

import sys

import pytest

from sertl.errors import SertlError
from sertl.serve.running import arguments, serve


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--port", "65536", "--port is 65536, expected 0 to 65535"),
        ("--port", "-1", "--port is -1"),
        ("--clip-sec", "0", "--clip-sec is 0, expected more than 0"),
        ("--upload-mib", "nan", "--upload-mib is nan"),
        ("--timeout-sec", "inf", "--timeout-sec is inf"),
        ("--port", "0", "not-there: no such file"),
    ],
)
def test_refused(monkeypatch, option, value, message):
    pytest.importorskip("uvicorn")
    monkeypatch.setattr(sys, "argv", ["serve", "--model", "not-there", f"{option}={value}"])
    with pytest.raises(SertlError, match=message):
        serve(arguments("doc"), page=False)
