# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The microphone, with a device that plays a recording; and without any."""

import json
import subprocess
import sys

import numpy as np

FAKE = """
import sys, types
import numpy as np
sys.path.insert(0, {tests!r})
from fake_predictor import FakePredictor, hush, voice
wav = np.concatenate([hush(0.5), voice(1.5), hush(1.0)])
device = types.ModuleType("sounddevice")
class PortAudioError(Exception): pass
class InputStream:
    def __init__(self, blocksize, callback, **options):
        self.blocksize, self.callback = blocksize, callback
    def __enter__(self):
        for n in range(0, len(wav), self.blocksize):
            self.callback(wav[n : n + self.blocksize, None])
        self.callback(np.full((10, 1), np.nan, np.float32))  # ends the test
    def __exit__(self, *_): pass
def query_devices(name, kind):
    if name == "none": raise ValueError("no input device matching 'none'")
    return {{"default_samplerate": 16000.0}}
device.PortAudioError, device.InputStream, device.query_devices = (
    PortAudioError, InputStream, query_devices)
sys.modules["sounddevice"] = device
from sertl.use import opening
opening.Opening.open = lambda self: FakePredictor()
sys.argv = ["listen", "--model", "m", "--vad", "energy", *{words!r}]
import runpy
runpy.run_module("sertl.bin.listen", run_name="__main__")
"""


def listen(request, *words):
    tests = str(request.config.rootpath / "tests")
    code = FAKE.format(tests=tests, words=list(words))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_segments_are_printed(request):
    ran = listen(request)
    (row,) = map(json.loads, ran.stdout.splitlines())
    assert row["emo"] == "ang" and row["final"] and np.isclose(row["start"], 0.4, atol=0.1)
    live = [json.loads(line) for line in listen(request, "--live").stdout.splitlines()]
    assert [row["final"] for row in live] == [False, True]


def test_no_microphone(request):
    ran = listen(request, "--device", "none")
    assert ran.returncode == 1 and "error: no microphone" in ran.stderr
