# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a phase trains on: the fold, other directories, never what the fold holds out."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from sertl.data.datadir import Utterance, write_data_dir
from sertl.data.folds import FoldDir
from sertl.errors import SertlError
from sertl.stages.start import check_foreign_start
from sertl.stages.training_data import dump_of, save_ids, training_data, without_long


def utterance(spk, number, emo="ang"):
    return Utterance(
        f"{spk}-{number}", spk, f"{spk}-{number}.wav", 1.0, emo=emo, gender="f", text="A",
        vad=(1.0, 2.0, 3.0), style="acted",
    )  # fmt: skip


@pytest.fixture
def fold(tmp_path):
    """Fold 1: speakers a and b train, c is dev, d is test."""
    for part, speakers in {"train": "ab", "dev": "c", "test": "d"}.items():
        utts = [utterance(spk, n) for spk in speakers for n in (1, 2)]
        write_data_dir(tmp_path / "data/fold1" / part, utts, ["ang", "sad"], (1, 5))
    return FoldDir(tmp_path / "data", 1)


def other(tmp_path, utts, name="other"):
    write_data_dir(tmp_path / name, utts, ["ang", "sad"], (1, 5))
    return str(tmp_path / name)


def test_the_fold_alone_and_with_another_corpus(fold, tmp_path):
    source = other(tmp_path, [utterance("x", 1), utterance("a", 9)])
    assert list(training_data(["fold"], fold, True, False).utts) == ["a-1", "a-2", "b-1", "b-2"]
    assert list(training_data([source], fold, True, False).utts) == ["a-9", "x-1"]
    both = training_data(["fold", source], fold, True, False)
    assert list(both.utts) == ["a-1", "a-2", "a-9", "b-1", "b-2", "x-1"]
    assert both.labels == ["ang", "sad"] and both.utts["x-1"].emo == "ang"


def test_labels_do_not_reach_a_phase_that_trains_without(fold, tmp_path):
    source = other(tmp_path, [utterance("x", 1)])
    for utt in training_data(["fold", source], fold, False, False).utts.values():
        known = (utt.emo, utt.gender, utt.text, utt.vad, utt.style)
        assert known == (None,) * 5 and utt.spk and utt.wav


def test_held_out_speakers_are_left_out_of_unlabelled_speech(fold, tmp_path, caplog):
    """c and d are dev and test: neither the fold's utterances nor others of theirs get in."""
    utts = [utterance(spk, n) for spk in "abcdx" for n in (1, 7)]
    source = other(tmp_path, utts)
    caplog.set_level("INFO")
    found = training_data([source], fold, False, False)
    assert list(found.utts) == ["a-1", "a-7", "b-1", "b-7", "x-1", "x-7"]
    assert "4 utts of held-out speakers left out" in caplog.text


def test_held_out_speakers_with_labels_are_refused(fold, tmp_path):
    source = other(tmp_path, [utterance("x", 1), utterance("d", 7)])
    for transductive in (False, True):
        with pytest.raises(SertlError, match="dev or test speakers, e.g. d-7"):
            training_data([source], fold, True, transductive)


def test_transductive_adds_audio_but_no_labelled_training(fold, tmp_path):
    found = training_data(["fold"], fold, False, True)
    assert {u.spk for u in found.utts.values()} == set("abcd")
    assert {u.emo for u in found.utts.values()} == {None}
    assert {u.spk for u in training_data(["fold"], fold, True, True).utts.values()} == set("ab")
    source = other(tmp_path, [utterance("d", 7)])
    assert list(training_data([source], fold, False, True).utts) == ["d-7"]


def test_repeated_ids_and_nothing_left(fold, tmp_path):
    with pytest.raises(SertlError, match="repeats 1 ids, e.g. a-1"):
        training_data(["fold", other(tmp_path, [utterance("a", 1)])], fold, True, False)
    with pytest.raises(SertlError, match="nothing to train on"):
        training_data([other(tmp_path, [utterance("d", 1)], "d")], fold, False, False)


def test_dump_of_another_directory():
    dump = Path("dump/nemo30/whisper_bf16")
    found = dump_of("../emodb/data/all", dump)
    assert found == Path("dump/nemo30/whisper_bf16_emodb-data-all")


def test_a_start_that_has_seen_held_out_audio_is_refused(fold, tmp_path):
    seen = tmp_path / "phase"
    seen.mkdir()
    with pytest.raises(SertlError, match="train_ids is missing"):
        check_foreign_start(seen, fold, False)
    save_ids(seen, training_data(["fold"], fold, False, False))
    check_foreign_start(seen, fold, False)
    save_ids(seen, training_data(["fold"], fold, False, True))
    with pytest.raises(SertlError, match=r"trained on 4 utterances, or .* e.g. c-1"):
        check_foreign_start(seen, fold, False)
    check_foreign_start(seen, fold, True)


def test_long_clips_leave_training_and_are_counted(fold, caplog):
    data = training_data(["fold"], fold, True, False)
    data.utts["a-2"] = replace(data.utts["a-2"], dur_sec=20.5)
    assert without_long(data, 0.0) is data
    with caplog.at_level(logging.INFO):
        assert list(without_long(data, 20.0).utts) == ["a-1", "b-1", "b-2"]
    assert "1 utts longer than 20 s left out of training" in caplog.text
    with pytest.raises(SertlError, match="no training utterance is as short as 0.5 s"):
        without_long(data, 0.5)
