# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Unions of corpora: labels mapped, speakers told apart, folds by corpus or by speakers."""

from pathlib import Path

import pytest

from sertl.atomic import write_text
from sertl.data.datadir import Utterance, write_data_dir
from sertl.data.union import load_union
from sertl.errors import SertlError
from sertl.yaml_text import load_yaml

EGS = Path(__file__).resolve().parents[2] / "egs"
HEAD = "name: {}\nrelease: r\nlanguage: {}\nlicence: l\ncite: c\nlabels: [{}]\n"
UNION = """labels: [angry, calm]
corpora:
  one: {recipe: a, map: {ang: angry, neu: calm, sad: null}}
  two_b: {recipe: b, map: {rage: angry, rest: calm}}
"""


@pytest.fixture
def recipes(tmp_path):
    """Two recipes with speakers of the same names."""
    for name, language, labels in (
        ("a", "de", ["ang", "neu", "sad"]),
        ("b", "pl", ["rage", "rest"]),
    ):
        write_text(
            tmp_path / name / "conf/corpus.yaml", HEAD.format(name, language, ", ".join(labels))
        )
        utts = [
            Utterance(f"{spk}-{n}", spk, f"wav/{spk}{n}.wav", 1.0, label, gender="f", part="train")
            for spk in "pqr"
            for n, label in enumerate(labels)
        ]
        write_data_dir(tmp_path / name / "data/all", utts, labels)
    write_text(tmp_path / "unions/both.yaml", UNION)
    return tmp_path


def load(recipes, by="corpus", **options):
    return load_union(recipes / "unions", "both", recipes, by, **options)


def test_labels_ids_and_folds_by_corpus(recipes):
    conf, utts = load(recipes)
    assert len(utts) == 12 and conf["expected"] == {"all": {"angry": 6, "calm": 6}}
    first = next(u for u in utts if u.utt == "one_p-0")
    assert (first.spk, first.emo, first.session, first.own) == (
        "one_p", "angry", "one", {"corpus": "one"},
    )  # fmt: skip
    assert first.wav == str(recipes / "a/wav/p0.wav") and first.part is None
    assert {u.spk for u in utts} == {f"{c}_{s}" for c in ("one", "two_b") for s in "pqr"}
    assert (conf["protocol"], conf["group_by"], conf["language"]) == ("fixed", "session", "de; pl")
    assert "one: 6 utterances, dropped: sad 3" in conf["notes"]


def test_groups_of_speakers_hold_all_corpora(recipes):
    conf, utts = load(recipes, "speakers", groups=3)
    assert conf["protocol"] == "loso"
    for group in {u.session for u in utts}:
        assert {u.own["corpus"] for u in utts if u.session == group} == {"one", "two_b"}
    assert len({(u.spk, u.session) for u in utts}) == 6


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("sad: null", "sda: null", r"unknown label in .*: one.map 'sda'; did you mean 'sad'"),
        (", sad: null", "", "one.map says nothing of sad"),
        ("ang: angry", "ang: anger", r"class in .*: one.map: ang -> 'anger'; did you mean"),
        ("recipe: b", "recipe: c", r"c/data/all is not there; make it with"),
        ("labels: [angry, calm]", "labels: [angry]", "labels"),
    ],
)
def test_mistakes_are_said(recipes, old, new, words):
    write_text(recipes / "unions/both.yaml", UNION.replace(old, new))
    with pytest.raises(SertlError, match=words):
        load(recipes)


def test_unknown_names(recipes):
    with pytest.raises(SertlError, match="unknown by 'speaker'; did you mean 'speakers'"):
        load(recipes, "speaker")
    with pytest.raises(SertlError, match=r"unknown union .* 'booth'; did you mean 'both'"):
        load_union(recipes / "unions", "booth", recipes, "corpus")


@pytest.mark.parametrize(
    "path", sorted((EGS / "multi/conf/unions").glob("*.yaml")), ids=lambda p: p.stem
)
def test_shipped_unions_name_the_labels_of_their_corpora(path):
    conf = load_yaml(path)
    for member in conf["corpora"].values():
        from sertl.data.corpus import load_corpus

        corpus = load_corpus(EGS / member["recipe"] / "conf/corpus.yaml", member.get("policy"))
        assert member["map"].keys() == set(corpus.labels)
        assert set(member["map"].values()) - {None} <= set(conf["labels"])


def test_a_head_for_each_corpus_keeps_its_own_classes(recipes):
    conf, utts = load(recipes, "speakers", groups=3, heads="own")
    own = ["one::ang", "one::neu", "one::sad", "two_b::rage", "two_b::rest"]
    assert conf["labels"] == own and len(utts) == 15
    assert conf["expected"] == {"all": dict.fromkeys(own, 3)}
    assert {(u.own["corpus"], u.emo.split("::")[0]) for u in utts} == {
        ("one", "one"), ("two_b", "two_b"),
    }  # fmt: skip
    with pytest.raises(SertlError, match="take by=speakers"):
        load(recipes, "corpus", heads="own")
    with pytest.raises(SertlError, match="heads 'ow'; did you mean 'own'"):
        load(recipes, "speakers", heads="ow")
