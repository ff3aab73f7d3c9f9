# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""How many timelines are made at a time, and when their work ends."""

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest
import soundfile
from fake_predictor import FakePredictor, voice

from sertl.serve import timelines as module
from sertl.serve.request_queue import Busy
from sertl.serve.timelines import Timelines, Until
from sertl.use.timeline import Plan

PLAN = Plan(vad="energy")


@pytest.fixture
def path(tmp_path):
    soundfile.write(tmp_path / "a.wav", voice(2.0), 16000)
    return str(tmp_path / "a.wav")


def test_one_too_many_is_refused_until_work_has_ended(path, monkeypatch):
    """A late one has its place as long as its thread is at work, not as long as anybody waits."""
    gate, now = threading.Event(), [0.0]
    # Work is late when this test says so, however slowly its thread comes to the first segment.
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    timelines, slow = Timelines(1), FakePredictor(slow=gate)
    with pytest.raises(TimeoutError):
        asyncio.run(timelines.make(slow, path, PLAN, 0.05))
    with pytest.raises(Busy, match="1 timelines are being made"):
        asyncio.run(timelines.make(FakePredictor(), path, PLAN, 60.0))
    assert slow.entered.wait(600)
    now[0] = 1.0
    gate.set()
    timelines.close()
    timelines._threads.shutdown(wait=True)
    assert len(slow.asked) == 1  # the curve, which comes after the whole segment, was not made
    assert timelines._places.acquire(blocking=False)


def test_places_are_given_back(path, tmp_path):
    timelines = Timelines(1)
    for _ in range(3):
        found = asyncio.run(timelines.make(FakePredictor(), path, PLAN, 60.0))
        assert [segment.said.emo for segment in found.segments] == ["ang"]
    with pytest.raises(Exception, match="none.wav"):
        asyncio.run(timelines.make(FakePredictor(), str(tmp_path / "none.wav"), PLAN, 60.0))
    assert timelines._places.acquire(blocking=False)


def test_nothing_is_predicted_when_it_is_late():
    predictor = FakePredictor(remembers=True)
    assert Until(predictor, 0.0).remembers
    with pytest.raises(TimeoutError):
        Until(predictor, time.monotonic() - 1.0).predict([voice(1.0)])
    assert predictor.asked == []
    assert Until(predictor, time.monotonic() + 600.0).predict([voice(1.0)])[0].emo == "ang"
