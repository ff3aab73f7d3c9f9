# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Clips that come together go together; one that fails takes no other with it."""

import threading

import numpy as np
import pytest
from fake_predictor import FakePredictor

from sertl.errors import SertlError
from sertl.serve.request_queue import Batcher, Busy

CLIP = np.full(16000, 0.1, np.float32)


def test_waiting_clips_become_one_batch():
    gate = threading.Event()
    predictor = FakePredictor(slow=gate)
    batcher = Batcher(predictor, batch_sec=5.0, wait_sec=0.0)
    futures = [batcher.submit(CLIP)]
    while batcher.waiting:  # the first is on its way, and waits at the gate
        pass
    futures += [batcher.submit(CLIP) for _ in range(7)]
    gate.set()
    assert all(f.result(10).dur_sec == 1.0 for f in futures)
    batcher.close()
    assert sum(len(batch) for batch in predictor.asked) == 8
    assert max(len(batch) for batch in predictor.asked) <= 5 < len(futures)
    assert len(predictor.asked) < 8


def test_one_that_fails_takes_no_other_with_it():
    class Picky(FakePredictor):
        def predict(self, wavs, *args, **options):
            if any(np.isnan(w).any() for w in wavs):
                raise SertlError("NaN")
            return super().predict(wavs, *args, **options)

    batcher = Batcher(Picky(), wait_sec=0.2)
    futures = [batcher.submit(wav) for wav in (CLIP, CLIP * np.nan, CLIP)]
    assert futures[0].result(10).emo == futures[2].result(10).emo
    with pytest.raises(SertlError, match="NaN"):
        futures[1].result(10)
    batcher.close()


def test_too_many_are_refused():
    gate = threading.Event()
    batcher = Batcher(FakePredictor(slow=gate), wait_sec=0.0, batch_sec=0.5, most_waiting=2)
    with pytest.raises(Busy, match="2 clips are waiting"):
        for _ in range(5):
            batcher.submit(CLIP)
    gate.set()
    batcher.close()
