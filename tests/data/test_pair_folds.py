# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Folds of a pair: who is held out is in no stage of either side."""

import json
from dataclasses import replace

import pytest
from recipes_of_pairs import (
    ONE,
    TWO,
    data_of,
    pair_of,
    utterances,
    write_pair,
    write_recipe,
)

from sertl.data.datadir import read_data_dir
from sertl.data.folds import fold_hash, write_folds
from sertl.data.pair_folds import make_pair_folds
from sertl.errors import SertlError

PARTS = ["train", "dev", "test", "source_train", "source_dev", "source_test"]
SAME = {label: label for label in TWO}


def speakers(data, ids):
    return {data.utts[utt].spk for utt in ids}


def folds_of(root, protocol=""):
    pair = pair_of(root)
    data = data_of(root, pair)
    return make_pair_folds(pair, data, protocol), data


@pytest.fixture
def two_corpora(tmp_path):
    """Three groups in the source, four in the target."""
    write_recipe(tmp_path, "one", utterances("abc", ONE), ONE)
    write_recipe(tmp_path, "two", utterances("wxyz", TWO), TWO)
    write_pair(tmp_path)
    return tmp_path


@pytest.fixture
def one_corpus(tmp_path):
    """Sessions of two speakers, scripted as the source and improvised as the target."""
    for name in ("scripted", "improvised"):
        utts = [
            u
            for session in "1234"
            for u in utterances([f"{session}F", f"{session}M"], TWO, session=session, style=name)
        ]
        utts = [replace(u, utt=f"{u.spk}-{name}-{u.utt}", wav=f"{name}{u.utt}") for u in utts]
        write_recipe(tmp_path, name, utts, TWO, group_by="session")
        conf = tmp_path / name / "conf/corpus.yaml"
        conf.write_text(conf.read_text().replace(f"name: {name}", "name: dialogues"))
    write_pair(tmp_path, {"recipe": "scripted"}, {"recipe": "improvised"}, SAME)
    return tmp_path


def test_the_groups_of_the_source_take_turns(two_corpora):
    folds, data = folds_of(two_corpora)
    assert [fold.group for fold in folds] == ["w", "x", "y", "z"]
    tested = [speakers(data, fold.parts()["source_test"]) for fold in folds]
    assert tested == [{"a"}, {"b"}, {"c"}, {"a"}]
    first = {name: speakers(data, ids) for name, ids in folds[0].parts().items()}
    assert first == {
        "train": {"y", "z"}, "dev": {"x"}, "test": {"w"},
        "source_train": {"c"}, "source_dev": {"b"}, "source_test": {"a"},
    }  # fmt: skip


@pytest.mark.parametrize("which", ["two_corpora", "one_corpus"])
def test_who_is_held_out_is_in_neither_stage(which, request):
    folds, data = folds_of(request.getfixturevalue(which))
    for fold in folds:
        parts = fold.parts()
        assert list(parts) == PARTS
        spks = {name: speakers(data, ids) for name, ids in parts.items()}
        stages = spks["train"] | spks["source_train"]
        for held_out in ("test", "source_test", "dev", "source_dev"):
            assert spks[held_out] and not spks[held_out] & stages
        assert not spks["test"] & (spks["dev"] | spks["source_dev"])
        ids = [utt for part in parts.values() for utt in part]
        assert len(ids) == len(set(ids)) == len(data.utts)


def test_one_corpus_holds_out_the_same_session_on_both_sides(one_corpus):
    folds, data = folds_of(one_corpus)
    for fold in folds:
        parts = fold.parts()
        for name in ("train", "dev", "test"):
            assert speakers(data, parts[name]) == speakers(data, parts[f"source_{name}"])
        assert all("improvised" in utt for utt in parts["test"])
        assert all("scripted" in utt for utt in parts["source_test"])


def test_a_protocol_is_given_to_both_sides_of_one_corpus(one_corpus):
    folds, data = folds_of(one_corpus, "loso10")
    assert len(folds) == 8
    assert all(speakers(data, f.test) == speakers(data, f.source["test"]) for f in folds)


def test_groups_that_one_side_lacks(one_corpus):
    """Without session 2 in the target, fold 1 has session 3 as dev, and the source trains on it."""
    path = one_corpus / "improvised/data/all"
    data = read_data_dir(path)
    kept = [u for u in data.utts.values() if u.session != "2"]
    write_recipe(one_corpus, "improvised", kept, TWO, group_by="session")
    conf = one_corpus / "improvised/conf/corpus.yaml"
    conf.write_text(conf.read_text().replace("name: improvised", "name: dialogues"))
    with pytest.raises(SertlError, match="fold 1: 3F, 3M is in dev on one side of the pair and in"):
        folds_of(one_corpus)
    write_pair(one_corpus, {"recipe": "improvised"}, {"recipe": "scripted"}, SAME)
    with pytest.raises(SertlError, match="holds out 2, which the source, of the same corpus, lack"):
        folds_of(one_corpus)


def test_an_official_split_goes_with_every_fold(two_corpora):
    """As in ESD: by sentence, with all speakers in all parts."""
    utts = [
        replace(u, part=part, utt=f"{u.utt}-{part}", wav=f"{part}{u.wav}")
        for part in ("train", "dev", "test")
        for u in utterances("ab", ONE)
    ]
    write_recipe(two_corpora, "one", utts, ONE, protocol="official", shared_speakers=True)
    folds, _ = folds_of(two_corpora)
    assert len(folds) == 4
    for fold in folds:
        assert all(utt.endswith("-train") for utt in fold.source["train"])
        assert fold.source == folds[0].source and len(fold.source["test"]) == 12


def test_written_like_other_folds(two_corpora):
    folds, data = folds_of(two_corpora)
    corpus = pair_of(two_corpora).corpus
    write_folds(folds, data, corpus, "loso", two_corpora / "data", token_type="none")
    assert (two_corpora / "data/num_folds").read_text() == "4\n"
    for name in PARTS:
        part = read_data_dir(two_corpora / "data/fold1" / name)
        assert part.labels == ["ang", "hap", "neu"]
        assert list(part.utts) == folds[0].parts()[name]
    card = json.loads((two_corpora / "data/fold1/protocol.json").read_text())
    assert card["fold_hash"] == fold_hash(folds[0]) and card["num_utts"]["source_test"] == 6
    other = type(folds[0])(**{**vars(folds[0]), "source": {**folds[0].source, "test": []}})
    assert fold_hash(other) != fold_hash(folds[0])


def test_data_of_another_pair_are_refused(two_corpora):
    _, data = folds_of(two_corpora)
    write_pair(two_corpora, table={"angry": "ang", "calm": "neu", "glad": None, "odd": "hap"})
    with pytest.raises(SertlError, match="made from another pair, or from older data"):
        make_pair_folds(pair_of(two_corpora), data)
