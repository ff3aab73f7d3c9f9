# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Protocols: sizes as published, speakers disjoint, files whole."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from sertl.data import folds as module
from sertl.data.corpus import Corpus
from sertl.data.datadir import DataDir, Utterance, read_data_dir
from sertl.data.folds import fold_hash, make_folds, read_protocol, write_folds
from sertl.data.tokenizer import load_tokenizer
from sertl.errors import SertlError

CORPUS = Corpus("toy", "1", "en", "CC0", "nobody", ["ang", "hap", "neu", "sad"])
BY_SESSION = replace(CORPUS, group_by="session")


def data_of(utts) -> DataDir:
    utts = {u.utt: u for u in sorted(utts, key=lambda u: u.utt)}
    return DataDir(Path("data/all"), utts, CORPUS.labels, None)


@pytest.fixture(scope="module")
def iemocap() -> DataDir:
    """As many turns per session, class and speaker as IEMOCAP has in four classes."""
    table = {  # session: ang, hap + exc, neu, sad; turns of the woman, the rest are the man's
        "1": ((229, 278, 384, 194), 528),
        "2": ((137, 327, 362, 197), 481),
        "3": ((240, 286, 320, 305), 522),
        "4": ((327, 303, 258, 143), 528),
        "5": ((170, 442, 384, 245), 590),
    }
    utts = []
    for session, (counts, num_female) in table.items():
        emos = [e for e, n in zip(CORPUS.labels, counts, strict=True) for _ in range(n)]
        for i, emo in enumerate(emos):
            spk = f"Ses0{session}{'F' if i * 7919 % len(emos) < num_female else 'M'}"
            utts.append(Utterance(f"{spk}-{i:04}", spk, "x.wav", 1.0, emo, session=session))
    return data_of(utts)


@pytest.mark.parametrize(
    ("protocol", "train", "dev"),
    [
        ("loso", [3423, 3357, 3349, 3259, 3205], [1023, 1151, 1031, 1241, 1085]),
        ("superb", [3556, 3606, 3504, 3600, 3432], [890, 902, 876, 900, 858]),
        ("fixed", [4446, 4508, 4380, 4500, 4290], [0] * 5),
    ],
)
def test_published_sizes_of_iemocap(iemocap, protocol, train, dev):
    folds = make_folds(iemocap, BY_SESSION, protocol)
    assert [len(f.train) for f in folds] == train
    assert [len(f.dev) for f in folds] == dev
    assert [len(f.test) for f in folds] == [1085, 1023, 1151, 1031, 1241]
    assert [f.group for f in folds] == ["1", "2", "3", "4", "5"]
    assert [f.index for f in folds] == [1, 2, 3, 4, 5]


def speakers(data, ids):
    return {data.utts[u].spk for u in ids}


@pytest.mark.parametrize("protocol", ["loso", "loso10", "superb", "fixed"])
def test_parts_are_disjoint_and_complete(iemocap, protocol):
    folds = make_folds(iemocap, BY_SESSION, protocol)
    for f in folds:
        parts = [*f.train, *f.dev, *f.test]
        assert len(parts) == len(set(parts)) == 5531
        assert all(ids == sorted(ids) for ids in (f.train, f.dev, f.test))
        test = speakers(iemocap, f.test)
        assert not test & speakers(iemocap, f.train + f.dev)
        shared = speakers(iemocap, f.train) & speakers(iemocap, f.dev)
        assert bool(shared) == (protocol == "superb")
    assert sorted(u for f in folds for u in f.test) == list(iemocap.utts)
    assert len({fold_hash(f) for f in folds}) == len(folds)


def test_loso_dev_is_the_next_group_wrapping_round(iemocap):
    folds = make_folds(iemocap, BY_SESSION, "loso")
    assert folds[0].dev == folds[1].test
    assert folds[4].dev == folds[0].test


def test_loso10_keeps_the_partner_out_of_training(iemocap):
    folds = make_folds(iemocap, BY_SESSION, "loso10")
    assert len(folds) == 10
    assert folds[1].group == "Ses01M"
    assert speakers(iemocap, folds[1].dev) == {"Ses01F"}
    assert len(folds[0].test) == 528 and len(folds[0].dev) == 557 and len(folds[0].train) == 4446


def test_superb_split_is_random_but_fixed(iemocap):
    a, b, c = (make_folds(iemocap, BY_SESSION, "superb", seed)[0].dev for seed in (0, 0, 1))
    assert a == b != c
    # hypergeometric: 890 of 4446, of which 1023 are session 2: 204.8 expected, deviation 11.2
    assert 160 < sum(iemocap.utts[u].session == "2" for u in a) < 250


def toy(spks="abc", parts=None, **fields):
    emos = CORPUS.labels
    return data_of(
        Utterance(
            *(f"{s}-{e}", s, f"{s}{e}.wav", 1.0, e),
            text=f"{s} says {e}",
            part=parts[i] if parts else None,
            **fields,
        )
        for i, s in enumerate(spks)
        for e in emos
    )


def test_official(iemocap):
    (fold,) = make_folds(toy(parts=["train", "dev", "test"]), CORPUS, "official")
    assert fold.group == "official"
    assert speakers(toy(), fold.train) == {"a"} and speakers(toy(), fold.test) == {"c"}
    with pytest.raises(SertlError, match="utt2part.*'a-ang' has none"):
        make_folds(toy(), CORPUS, "official")
    with pytest.raises(SertlError, match="fold 1: dev is empty"):
        make_folds(toy(parts=["train", "train", "test"]), CORPUS, "official")


def test_shared_speakers_are_refused_unless_the_corpus_says_so():
    data = toy(parts=["train", "dev", "test"])
    data.utts["a-ang"] = replace(data.utts["a-ang"], part="test")
    with pytest.raises(SertlError, match="1 speakers are in two parts: a; .*shared_speakers: true"):
        make_folds(data, CORPUS, "official")
    (fold,) = make_folds(data, replace(CORPUS, shared_speakers=True), "official")
    card = module.protocol_card(fold, [fold], data, CORPUS, "official", 0)
    assert card["shared_speakers"] == 1
    # a session that shares a speaker with another one is never let through
    sessions = toy(session="1")
    for i, utt in enumerate(list(sessions.utts)):
        sessions.utts[utt] = replace(sessions.utts[utt], session=str(i % 4))
    for protocol in ("loso", "superb", "fixed"):
        with pytest.raises(SertlError, match="3 speakers are in two parts"):
            make_folds(sessions, replace(BY_SESSION, shared_speakers=True), protocol)


@pytest.mark.parametrize(
    ("protocol", "data", "message"),
    [
        ("loso", toy("ab"), "at least 3 groups, found 2: a, b"),
        ("superb", toy("a"), "at least 2 groups, found 1: a"),
        ("fixed", toy("a"), "at least 2 groups, found 1"),
        ("loso10", toy(), "'a-ang' has none"),
        ("loso5", toy(), "unknown protocol 'loso5'; did you mean"),
    ],
)
def test_impossible_requests(protocol, data, message):
    with pytest.raises(SertlError, match=message):
        make_folds(data, CORPUS, protocol)


def test_loso10_with_a_speaker_alone_or_in_two_sessions():
    data = toy("abc")
    for utt, u in data.utts.items():
        data.utts[utt] = replace(u, session="2" if u.spk == "c" else "1")
    with pytest.raises(SertlError, match="speaker 'c' is alone in session '2'"):
        make_folds(data, CORPUS, "loso10")
    data.utts["a-neu"] = replace(data.utts["a-neu"], session="2")
    with pytest.raises(SertlError, match="speaker 'a' is in sessions '1' and '2'"):
        make_folds(data, CORPUS, "loso10")


def test_sessions_are_needed_where_groups_are_sessions():
    with pytest.raises(SertlError, match="no session"):
        make_folds(toy(), BY_SESSION, "loso")


def test_classes_of_another_policy():
    with pytest.raises(SertlError, match="same --policy"):
        make_folds(toy(), replace(CORPUS, labels=["ang", "hap"]), "loso")


def test_a_class_that_training_lacks_is_a_warning(caplog):
    caplog.set_level(logging.INFO)
    data = toy()
    for utt in ("a-sad", "b-sad"):
        del data.utts[utt]
    make_folds(data, CORPUS, "loso")
    levels = {r.getMessage(): r.levelname for r in caplog.records}
    assert levels["fold 3 (test c): train has no sad"] == "WARNING"
    assert levels["fold 1 (test a): test has no sad"] == "INFO"


def write(data, out, protocol="loso", corpus=CORPUS, **options):
    write_folds(make_folds(data, corpus, protocol), data, corpus, protocol, out, **options)


def test_files(tmp_path):
    data = toy()
    write(data, tmp_path)
    assert (tmp_path / "num_folds").read_text() == "3\n"
    assert sorted(p.name for p in (tmp_path / "fold3").iterdir()) == [
        *("dev", "protocol.json", "test", "tokenizer", "train")
    ]
    train = read_data_dir(tmp_path / "fold3/train")
    assert list(train.utts) == ["b-ang", "b-hap", "b-neu", "b-sad"]
    assert train.utts["b-hap"] == data.utts["b-hap"]
    assert train.labels == CORPUS.labels
    card = read_protocol(tmp_path / "fold3")
    assert card["test_group"] == "c" and card["fold"] == 3 and card["num_folds"] == 3
    assert card["n_per_class"] == {"ang": 3, "hap": 3, "neu": 3, "sad": 3}
    assert card["num_utts"] == {"train": 4, "dev": 4, "test": 4}
    assert card["select"] == "dev_ua" and card["shared_speakers"] == 0
    write(data, tmp_path / "f", "fixed")
    assert not (tmp_path / "f/fold1/dev").exists()
    assert read_protocol(tmp_path / "f/fold1")["select"] == "last"
    write(data, tmp_path / "s", "superb")
    assert read_protocol(tmp_path / "s/fold1")["select"] == "dev_wa"


def test_the_tokenizer_has_seen_training_text_only(tmp_path):
    data = toy()
    data.utts["c-sad"] = replace(data.utts["c-sad"], text="żółw")  # test in fold 3, dev in 2
    write(data, tmp_path)
    symbols = {k: set(load_tokenizer(tmp_path / f"fold{k}/tokenizer").symbols) for k in (1, 2, 3)}
    assert set("ŻÓŁ") <= symbols[1]
    for k in (2, 3):
        assert not set("ŻÓŁW") & symbols[k]


def test_again_is_skipped_and_changes_are_named(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    write(toy(), tmp_path)
    before = (tmp_path / "fold1").stat().st_ino
    write(toy(), tmp_path)
    assert "skipped" in caplog.text and (tmp_path / "fold1").stat().st_ino == before
    with pytest.raises(SertlError, match="protocol: loso -> fixed"):
        write(toy(), tmp_path, "fixed")
    with pytest.raises(SertlError, match="token_type: char -> none"):
        write(toy(), tmp_path, token_type="none")
    with pytest.raises(SertlError, match="num_utts: 12 -> 16"):
        write(toy("abcd"), tmp_path)
    write(toy("abcd"), tmp_path, redo=True)
    write(toy("abc"), tmp_path, redo=True)
    assert not (tmp_path / "fold4").exists()


def test_an_interrupted_run_is_done_again(tmp_path, monkeypatch):
    write_one = module._write_fold

    def killed(folder, fold, *rest):
        write_one(folder, fold, *rest)
        if fold.index == 2:
            (folder / "protocol.json").unlink()
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "_write_fold", killed)
    with pytest.raises(KeyboardInterrupt):
        write(toy(), tmp_path)
    assert (tmp_path / "fold1").exists() and not (tmp_path / "fold2").exists()
    assert not (tmp_path / "num_folds").exists()
    monkeypatch.undo()
    write(toy(), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *(".folds", "fold1", "fold2", "fold3", "num_folds")
    ]


def test_a_deleted_fold_is_made_again(tmp_path):
    write(toy(), tmp_path)
    (tmp_path / "fold2/protocol.json").unlink()
    with pytest.raises(SertlError, match="fold2/protocol.json is missing; run stage 2"):
        read_protocol(tmp_path / "fold2")
    write(toy(), tmp_path)
    assert json.loads((tmp_path / "fold2/protocol.json").read_text())["fold"] == 2


def test_other_folders_beside_the_folds_stay(tmp_path):
    for name in ("all", "folder", "fold_plan"):
        (tmp_path / name).mkdir()
    write(toy(), tmp_path)
    write(toy(), tmp_path, redo=True)
    for name in ("all", "folder", "fold_plan"):
        assert (tmp_path / name).is_dir()


def test_without_text_there_is_no_tokenizer(tmp_path):
    data = toy()
    for utt, u in data.utts.items():
        data.utts[utt] = replace(u, text=None)
    write(data, tmp_path)
    assert not (tmp_path / "fold1/tokenizer").exists()
    with pytest.raises(SertlError, match="no tokenizer"):
        load_tokenizer(tmp_path / "fold1/tokenizer")
