# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Layers and enrolment on made-up folds: who wins, which clips count, what a prior saves."""

import numpy as np
import pytest
import torch

from sertl.data.datadir import Utterance
from sertl.errors import SertlError
from sertl.report.enrolment_table import enrolment_figure, enrolment_rows, enrolment_table
from sertl.report.layer_table import layer_figure, layer_rows, layer_table
from sertl.solve.held_out import Settings
from sertl.stages.enrolment import ALL, Condition, conditions, draw_clips, scan_enrolment
from sertl.stages.fold_vectors import FoldVectors, Side
from sertl.stages.layer_scan import scan_layers

LABELS = ["anger", "neutral", "sadness"]
NORM = {"mode": "none", "prior": None, "scale": False}


def made_folds(offset=3.0, count=24, speakers=5):
    """Class means lie in layer 1; every speaker adds an offset of their own."""
    rng = np.random.default_rng(0)
    means = 3.0 * rng.normal(size=(3, 4))
    sides = {}
    for s in range(speakers):
        own = offset * rng.normal(size=4)
        y = np.arange(count) % 3
        x = rng.normal(size=(count, 2, 4))
        x[:, 1] += means[y] + own
        utts = [Utterance(f"s{s}-{i:02d}", f"s{s}", "x.wav", 1.0) for i in range(count)]
        sides[s] = Side(utts, torch.from_numpy(x).float(), torch.from_numpy(y))
    folds = []
    for s in range(speakers):
        rest = [sides[r] for r in range(speakers) if r != s]
        seen = Side(
            [u for side in rest for u in side.utts],
            torch.cat([side.vectors for side in rest]),
            torch.cat([side.classes for side in rest]),
        )
        folds.append(FoldVectors(s + 1, LABELS, seen, sides[s]))
    return folds


def test_layers_are_scored_on_test_and_chosen_without_it():
    folds = made_folds(offset=0.5)
    found = scan_layers([3, 7], folds, NORM)
    rows = layer_rows(found)
    assert [r["layer"] for r in rows] == [3, 7] and rows[1]["ua"] > 0.8 > rows[0]["ua"]
    assert rows[1]["chosen"] == 5 and len(found["ref"]) == 120
    text = layer_table(found, rows).text()
    assert "speaker normalisation none" in text and "leave one of 4 training speakers out" in text
    assert layer_figure(found, rows).startswith(b"\x89PNG")
    flipped = made_folds(offset=0.5)
    for fold in flipped:  # labels of the test side choose nothing
        fold.test.classes.copy_(2 - fold.test.classes)
    assert scan_layers([3, 7], flipped, NORM)["inner"] == found["inner"]


def test_clips_are_drawn_by_number_and_class():
    side, rng = made_folds()[0].seen, np.random.default_rng(1)
    for number, classes, size, kinds in (
        (5, 0, 5, 3),
        (99, 1, 8, 1),
        (4, -1, 4, 1),
        (ALL, 2, 16, 2),
    ):
        drawn = dict(draw_clips(side, number, classes, 1, rng))
        assert sorted(drawn) == ["s1", "s2", "s3", "s4"]
        for spk, clips in drawn.items():
            assert len(set(clips)) == size and {side.utts[i].spk for i in clips} == {spk}
            found = set(side.classes[clips].tolist())
            assert len(found) <= kinds and (classes >= 0 or found == {1})


def test_more_clips_help_and_a_prior_saves_the_few_and_the_skewed():
    wanted = conditions([0, 1, ALL], [0.0, None], 6)
    assert Condition(6, -1, None) in wanted and len(wanted) == 12
    found = scan_enrolment(made_folds(), Settings(combine="best"), wanted, 2, "neutral")
    rows = {(r["clips"], r["classes"], r["prior"]): r for r in enrolment_rows(found)}
    none = rows[0, 0, 0.0]["ua"]
    assert rows[0, 0, None]["ua"] == none
    assert rows[ALL, 0, None]["ua"] > none and rows[ALL, 0, 0.0]["ua"] > none
    assert rows[6, 1, None]["ua"] > rows[6, 1, 0.0]["ua"]
    assert len(found["priors"]) == 5 and rows[1, 0, None]["std"] is not None
    table = enrolment_table(found, list(rows.values())).text()
    assert "neutral only" in table and "estimated" in table
    assert enrolment_figure(list(rows.values())).startswith(b"\x89PNG")
    with pytest.raises(SertlError, match="'calm' is none of the classes"):
        scan_enrolment(made_folds(), Settings(), wanted, 1, "calm")
