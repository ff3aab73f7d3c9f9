# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Data directories: round trip, atomic replacement, refusals."""

from dataclasses import replace

import pytest

from sertl.data.datadir import Utterance, read_data_dir, write_data_dir
from sertl.errors import SertlError

FULL = [
    Utterance(
        utt="Ses01M-Ses01F_impro01_M000",
        spk="Ses01M",
        wav="/data/with blank/a.wav",
        dur_sec=1.25,
        emo="ang",
        gender="m",
        style="improvised",
        text="  Grüße,\tŁódź  – it's\nfine ",
        vad=(2.3333333333333335, 5.5, 0.5),
        session="1",
        part="train",
    ),
    Utterance("Ses01F-b", "Ses01F", "b.wav", 0.5, "neu", "f", "scripted", None, None, "1", "test"),
]


def test_round_trip_of_every_field(tmp_path):
    write_data_dir(tmp_path / "d", FULL, ["neu", "ang"], (1, 5))
    data = read_data_dir(tmp_path / "d")
    assert list(data.utts) == ["Ses01F-b", "Ses01M-Ses01F_impro01_M000"]
    assert data.utts["Ses01F-b"] == FULL[1]
    assert data.utts[FULL[0].utt] == replace(FULL[0], text="Grüße, Łódź – it's fine")
    assert data.labels == ["neu", "ang"]
    assert data.vad_range == (1.0, 5.0)
    assert (tmp_path / "d/spk2utt").read_text() == (
        "Ses01F Ses01F-b\nSes01M Ses01M-Ses01F_impro01_M000\n"
    )
    # unknown for one utterance: a line with a dash, so that a missing line is an error
    assert (tmp_path / "d/text").read_text(encoding="utf-8").startswith("Ses01F-b -\n")


def test_files_of_unknown_values_are_not_written(tmp_path):
    write_data_dir(tmp_path / "d", [Utterance("a-1", "a", "x.wav", 1.0)], [])
    assert sorted(p.name for p in (tmp_path / "d").iterdir()) == [
        *("spk2utt", "utt2dur", "utt2spk", "wav.scp")
    ]
    assert read_data_dir(tmp_path / "d").labels == []


def test_everything_wrong_is_listed_and_nothing_is_written(tmp_path):
    bad = [
        Utterance("a-1", "a", "x.wav", 1.0, "joy"),
        Utterance("b_1", "b", "y.wav", 0.0, "neu"),
        Utterance("c-1", "c", "cat z.wav |", float("nan"), "neu", style="loud"),
    ]
    with pytest.raises(SertlError) as error:
        write_data_dir(tmp_path / "d", bad, ["neu"])
    message = str(error.value)
    for what in ("'joy'", "'b_1' does not start", "'0'", "a shell pipe", "'nan'", "'loud'"):
        assert what in message
    assert f"{tmp_path}/d/utt2emo:1" in message
    assert list(tmp_path.iterdir()) == []


def test_repeated_and_bad_ids_and_two_genders(tmp_path):
    utts = [
        Utterance("a-1", "a", "one.wav", 1.0, gender="m"),
        Utterance("a-1", "a", "two.wav", 1.0, gender="f"),
        Utterance("a b-1", "a b", "x.wav", 1.0),
    ]
    with pytest.raises(SertlError) as error:
        write_data_dir(tmp_path / "d", utts, [])
    message = str(error.value)
    assert "'a-1' occurs 2 times: one.wav, two.wav" in message
    assert "'a b-1' holds a blank" in message
    assert "speaker 'a' has gender 'm'" in message


def test_replaces_an_older_directory_but_no_other_files(tmp_path):
    path = tmp_path / "d"
    write_data_dir(path, FULL, ["neu", "ang"], (1, 5))
    write_data_dir(path, [Utterance("a-1", "a", "x.wav", 1.0)], [])
    assert not (path / "utt2emo").exists()
    (path / "thesis.tex").write_text("years of work")
    with pytest.raises(SertlError, match="thesis.tex"):
        write_data_dir(path, FULL, ["neu", "ang"], (1, 5))
    assert (path / "thesis.tex").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["d"]
