# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Timelines as text, by hand, and odd ones."""

import csv
import io
import json
import re

from sertl.use.prediction import Prediction
from sertl.use.timeline import CurvePoint, Segment, Timeline
from sertl.use.timeline_formats import as_csv, as_json, as_srt, as_textgrid, csv_header


def segment(start, end, emo="ang", spk=None, text=None, curve=()):
    probs = {"ang": 0.75, "sad": 0.25} if emo == "ang" else {"ang": 0.1, "sad": 0.9}
    return Segment(start, end, spk, Prediction(emo, {"emo": probs}, {}, text, end - start), curve)


TWO = Timeline(10.0, [segment(1.0, 2.5, text='say "x"'), segment(3.0, 4.0, "sad", "B")])


def test_json():
    curve = (CurvePoint(1.0, 2.0, {"ang": 0.123456}),)
    row = json.loads(as_json("u", "u.wav", Timeline(5.0, [segment(1.0, 2.0, curve=curve)])))
    assert row["segments"] == [
        {
            "start": 1.0, "end": 2.0, "emo": "ang", "probs": {"emo": {"ang": 0.75, "sad": 0.25}},
            "curve": [{"start": 1.0, "end": 2.0, "probs": {"ang": 0.1235}}],
        }
    ]  # fmt: skip


def test_csv_reads_back():
    text = csv_header(["ang", "sad"]) + as_csv('u,"1"', TWO, ["ang", "sad"])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [r["utt"] for r in rows] == ['u,"1"'] * 2 and rows[0]["text"] == 'say "x"'
    assert (rows[1]["start"], rows[1]["spk"], rows[1]["sad"]) == ("3.000", "B", "0.9000")


def test_srt():
    blocks = as_srt(TWO).split("\n\n")
    assert blocks[0] == '1\n00:00:01,000 --> 00:00:02,500\n[ang 75 %] say "x"'
    assert blocks[1].startswith("2\n00:00:03,000 --> 00:00:04,000\nB: [sad 90 %]")
    assert "01:01:01,001" in as_srt(Timeline(9999, [segment(3661.001, 3700)]))


def intervals(grid):
    return [
        (float(a), float(b), t)
        for a, b, t in re.findall(
            r'intervals \[\d+\]:\n\s+xmin = (\S+)\n\s+xmax = (\S+)\n\s+text = "(.*)"', grid
        )
    ]


def test_textgrid_covers_the_recording_without_gaps():
    grid = as_textgrid(Timeline(10.0, [segment(1.0, 2.5), segment(3.0, 4.0, "sad")]))
    assert intervals(grid) == [
        (0, 1, ""), (1, 2.5, "ang"), (2.5, 3, ""), (3, 4, "sad"), (4, 10, ""),
    ]  # fmt: skip
    assert grid.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\n')


def test_textgrid_has_a_tier_for_each_speaker_and_cuts_overlaps():
    grid = as_textgrid(Timeline(5.0, [segment(0.0, 3.0, spk="A"), segment(2.0, 5.0, spk='"B"')]))
    assert "size = 2" in grid and 'name = "emotion ""B"""' in grid
    over = as_textgrid(Timeline(5.0, [segment(0.0, 3.0), segment(2.0, 5.0, "sad")]))
    assert intervals(over) == [(0, 3, "ang"), (3, 5, "sad")]
    assert intervals(as_textgrid(Timeline(5.0, []))) == [(0, 5, "")]
