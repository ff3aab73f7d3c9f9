# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Data preparation: everything that can be wrong in a corpus, and safe repetition."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from sertl.data import audio_checks
from sertl.data import prepare as module
from sertl.data.corpus import Corpus
from sertl.data.datadir import Utterance, read_data_dir
from sertl.data.prepare import argument_parser, prepare
from sertl.errors import SertlError

CORPUS = Corpus(
    *("toy", "1", "en", "CC0", "nobody", ["ang", "neu"]),
    drop=["xxx"],
    expected={"a": {"ang": 1, "neu": 1}, "b": {"ang": 1, "neu": 1}},
)


@pytest.fixture
def utts(tmp_path):
    made = []
    for i, (spk, emo) in enumerate((s, e) for s in "ba" for e in ("neu", "ang", "xxx")):
        wav = tmp_path / f"{spk} {emo}.wav"
        soundfile.write(wav, np.random.default_rng(i).normal(0, 0.1, 1600 + 160 * i), 16000)
        made.append(Utterance(f"{spk}-{emo}", spk, str(wav), 0.0, emo))
    return made


@pytest.mark.parametrize("nj", [1, 2])
def test_writes_durations_and_logs_counts(utts, tmp_path, nj, caplog):
    caplog.set_level(logging.INFO)
    prepare(CORPUS, iter(utts), tmp_path / "data/all", nj=nj)
    data = read_data_dir(tmp_path / "data/all")
    assert list(data.utts) == ["a-ang", "a-neu", "b-ang", "b-neu"]
    assert data.utts["a-ang"].dur_sec == pytest.approx(0.14)  # 1600 + 4 * 160 samples
    assert "6 found, 6 labelled, 4 kept, 2 dropped" in caplog.text
    assert "dropped 2: label xxx" in caplog.text


def test_again_is_skipped_and_changes_are_named(utts, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    out = tmp_path / "all"
    prepare(CORPUS, utts, out)
    monkeypatch.setattr(audio_checks, "inspect_audio", None)  # a second decoding would fail
    prepare(CORPUS, utts, out)
    assert "skipped" in caplog.text
    monkeypatch.undo()
    with pytest.raises(SertlError, match="corpus.release: 1 -> 2\n.*--redo"):
        prepare(replace(CORPUS, release="2"), utts, out)
    prepare(replace(CORPUS, release="2"), utts, out, redo=True)
    with pytest.raises(SertlError, match="utt2emo"):
        (out / "utt2emo").write_text("a-ang ang\n")
        prepare(replace(CORPUS, release="2"), utts, out)


def test_an_interrupted_run_is_done_again(utts, tmp_path, monkeypatch):
    out = tmp_path / "all"

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "finish", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(CORPUS, utts, out)
    monkeypatch.undo()
    prepare(CORPUS, utts, out)
    assert len(read_data_dir(out).utts) == 4


def test_all_bad_audio_is_listed_and_can_be_excluded(utts, tmp_path):
    (tmp_path / "a ang.wav").write_bytes(b"")
    (tmp_path / "b neu.wav").unlink()
    soundfile.write(tmp_path / "b ang.wav", np.zeros(1600), 16000)
    (tmp_path / "b xxx.wav").write_bytes(b"dropped by the policy, so never read")
    with pytest.raises(SertlError) as error:
        prepare(CORPUS, utts, tmp_path / "all")
    message = str(error.value)
    assert "3 problems" in message and "excluded" in message
    for what in ("a-ang", "0 bytes", "b-neu", "no such file", "b-ang", "silent"):
        assert what in message
    assert not (tmp_path / "all").exists()
    excluded = replace(
        CORPUS, excluded={"a-ang": "empty", "b-neu": "lost", "b-ang": "silent"}, expected={}
    )
    prepare(excluded, utts, tmp_path / "all")
    assert list(read_data_dir(tmp_path / "all").utts) == ["a-neu"]


def test_missing_part_of_the_corpus(utts, tmp_path):
    part = [u for u in utts if u.utt != "a-ang"]
    with pytest.raises(SertlError, match="0/1"):
        prepare(CORPUS, part, tmp_path / "all")
    prepare(CORPUS, part, tmp_path / "all", allow_subset=True)
    with pytest.raises(SertlError, match="0/1"):  # done before, but not under this rule
        prepare(CORPUS, part, tmp_path / "all")


def test_repeated_ids_name_both_files(utts, tmp_path):
    with pytest.raises(SertlError, match="'b-neu' from .*b neu.wav and from elsewhere.wav"):
        prepare(CORPUS, [*utts, replace(utts[0], wav="elsewhere.wav")], tmp_path / "all")


def test_wrong_folder_finds_nothing(tmp_path):
    with pytest.raises(SertlError, match="no utterances .0 found.*--corpus-dir"):
        prepare(CORPUS, [], tmp_path / "all")


def test_identical_audio_is_reported(utts, tmp_path, caplog):
    (tmp_path / "a ang.wav").write_bytes((tmp_path / "b neu.wav").read_bytes())
    prepare(CORPUS, utts, tmp_path / "all")
    assert "identical audio: b-neu, a-ang" in caplog.text


def test_odd_rates_channels_and_ratings_are_logged(utts, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    noise = np.random.default_rng(0).normal(0, 0.1, (4800, 2))
    soundfile.write(tmp_path / "a ang.wav", noise, 48000)
    rated = [replace(u, vad=(5.5, 3.0, 3.0) if u.utt == "a-neu" else (3.0, 3.0, 3.0)) for u in utts]
    prepare(replace(CORPUS, vad_range=(1.0, 5.0)), rated, tmp_path / "all")
    assert "{48000: 1}" in caplog.text
    assert "1 files have several channels, averaged when read: a-ang" in caplog.text
    assert "1 have valence, arousal or dominance outside 1-5" in caplog.text
    assert read_data_dir(tmp_path / "all").utts["a-neu"].vad == (5.5, 3.0, 3.0)


def test_check_only_writes_nothing(utts, tmp_path):
    prepare(CORPUS, utts, tmp_path / "all", check_only=True)
    assert not (tmp_path / "all").exists()
    (tmp_path / "a ang.wav").unlink()
    with pytest.raises(SertlError, match="a-ang: no such file"):
        prepare(CORPUS, utts, tmp_path / "all", check_only=True)


def test_the_shared_options():
    args = argument_parser("x").parse_args(["--corpus-dir", "c", "--check-only", "--nj", "2"])
    assert (str(args.corpus_dir), str(args.out), str(args.conf)) == (
        *("c", "data/all", "conf/corpus.yaml"),
    )
    assert args.policy is None and args.check_only and args.nj == 2 and not args.redo
