# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Means of several models, and lines of each kind."""

import json
import subprocess
import sys

import numpy as np
import pytest

from sertl.errors import SertlError
from sertl.use.prediction import Prediction, as_line, averaged

ONE = Prediction("sad", {"emo": {"ang": 0.25, "sad": 0.75}}, {"valence": 2.0}, "good", 1.25)
LABELS = ["ang", "sad"]


def test_means_of_probabilities_and_ratings():
    probs = [{"emo": np.array([0.9, 0.1])}, {"emo": np.array([0.2, 0.8])}]
    vads = [np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])]
    one = averaged({"emo": LABELS}, probs, vads, "hi", 2.0)
    assert one.emo == "ang" and one.probs["emo"] == pytest.approx({"ang": 0.55, "sad": 0.45})
    assert one.vad == {"valence": 2.0, "arousal": 2.0, "dominance": 2.0} and one.text == "hi"
    nothing = averaged({"emo": LABELS}, [{}], (), None, 1.0)
    assert nothing.emo is None and nothing.probs == {} and nothing.vad == {}


def test_a_line_of_each_kind():
    assert as_line("u", "u.wav", ONE, "tsv", LABELS) == "u\tsad\t0.2500\t0.7500\n"
    assert as_line("u", "u.wav", ONE, "kaldi", LABELS) == "u sad\n"
    row = json.loads(as_line("u", "u.wav", ONE, "json", LABELS))
    assert row == {
        "utt": "u", "wav": "u.wav", "dur_sec": 1.25, "emo": "sad",
        "probs": {"emo": {"ang": 0.25, "sad": 0.75}}, "vad": {"valence": 2.0}, "text": "good",
    }  # fmt: skip


@pytest.mark.parametrize(("utt", "kind"), [("a b", "kaldi"), ("a\tb", "tsv"), ("a\nb", "tsv")])
def test_an_id_that_would_break_its_line_is_refused(utt, kind):
    with pytest.raises(SertlError, match="cannot; take --format"):
        as_line(utt, "u.wav", ONE, kind, LABELS)
    assert json.loads(as_line(utt, "u.wav", ONE, "json", LABELS))["utt"] == utt


def test_needs_no_torch():
    code = (
        "import sys, sertl.bin.predict, sertl.bin.command, sertl.use.onnx_predictor\n"
        "import sertl.use.recordings, sertl.use.timeline, sertl.use.predict_lines\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'transformers', 'sklearn')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
