# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""RTTM files with their oddities; clusters of two very different voices."""

import pytest
from fake_predictor import voice

from sertl.errors import SertlError
from sertl.use.speakers import cluster_speakers, read_rttm, voice_vector


def test_rttm(tmp_path):
    path = tmp_path / "a.rttm"
    path.write_text(
        ";; comment\nSPKR-INFO f 1 <NA> <NA> <NA> unknown A <NA>\n"
        "SPEAKER f 1 2.50 1.0 <NA> <NA> B <NA> <NA>\nSPEAKER f 1 0.0 1.5 <NA> <NA> A <NA>\n\n"
        "SPEAKER g 1 0.0 1 <NA> <NA> A <NA> <NA>\n"
    )
    assert read_rttm(path) == {"f": [(0.0, 1.5, "A"), (2.5, 3.5, "B")], "g": [(0.0, 1.0, "A")]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SPEAKER f 1 x 1 <NA> <NA> A", ":1: expected SPEAKER"),
        ("SPEAKER f 1 0 1 <NA>", ":1: expected SPEAKER"),
        ("SPEAKER f 1 0 -1 <NA> <NA> A", "duration -1"),
        ("nothing", "no SPEAKER line"),
        ("SPEAKER f 1 nan 1 <NA> <NA> A", "start nan"),
    ],
)
def test_bad_rttm_is_named(tmp_path, text, reason):
    (tmp_path / "a.rttm").write_text(text)
    with pytest.raises(SertlError, match=reason):
        read_rttm(tmp_path / "a.rttm")


def test_clusters_of_voices():
    low = [voice(1.0, seed=n) for n in range(3)]
    high = [voice(1.0, seed=n)[::2].repeat(1) for n in range(3)]  # an octave higher
    vectors = [voice_vector(wav) for pair in zip(low, high, strict=True) for wav in pair]
    assert cluster_speakers(vectors, 2) == ["guess1", "guess2"] * 3
    assert cluster_speakers(vectors, 1) == ["guess1"] * 6
    assert cluster_speakers(vectors[:1], 3) == ["guess1"] and cluster_speakers([], 2) == []
