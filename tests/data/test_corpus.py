# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""corpus.yaml: keys, policies, merges, counts."""

import logging

import pytest
import yaml

from sertl.data.corpus import apply_policy, check_counts, load_corpus
from sertl.data.datadir import Utterance
from sertl.errors import SertlError

CONF = {
    "name": "toy",
    "release": "1.0",
    "language": "en",
    "licence": "CC0",
    "cite": "nobody",
    "labels": ["ang", "hap", "neu"],
    "merge": {"exc": "hap"},
    "drop": ["xxx"],
    "group_by": "session",
    "vad_range": [1, 5],
    "excluded": {"a-9": "silent"},
    "expected": {"1": {"ang": 1, "hap": 2}, "2": {"neu": 1}},
    "default_policy": "merged",
    "policies": {
        "merged": {},
        "noexc": {"merge": {}, "drop": ["xxx", "exc"], "expected": {}},
        "impro": {"only_style": "improvised", "expected": {"all": {"ang": 1, "hap": 1}}},
    },
}


@pytest.fixture
def load(tmp_path):
    """A function: CONF with changes, as a Corpus."""

    def make(policy=None, **changes):
        path = tmp_path / "corpus.yaml"
        conf = {k: v for k, v in {**CONF, **changes}.items() if v != "remove"}
        path.write_text(yaml.safe_dump(conf), encoding="utf-8")
        return load_corpus(path, policy)

    return make


def utt(name, emo, session="1", style="improvised"):
    return Utterance(f"a-{name}", "a", f"{name}.wav", 1.0, emo, style=style, session=session)


UTTS = [
    utt("1", "ang"),
    utt("2", "hap", style="scripted"),
    utt("3", "exc"),
    utt("4", "neu", session="2", style="scripted"),
    utt("5", "xxx"),
    utt("6", None),
    utt("9", "ang"),
]


def test_default_policy_merges_and_drops_with_reasons(load):
    corpus = load()
    kept, dropped = apply_policy(corpus, UTTS)
    assert [(u.utt, u.emo) for u in kept] == [
        *(("a-1", "ang"), ("a-2", "hap"), ("a-3", "hap"), ("a-4", "neu"))
    ]
    assert dropped == {"label xxx": 1, "no label": 1, "excluded: silent": 1}
    assert corpus.policy == "merged" and corpus.vad_range == (1.0, 5.0)
    check_counts(corpus, kept)


def test_other_policies_override_keys(load):
    kept, dropped = apply_policy(load("noexc"), UTTS)
    assert [u.utt for u in kept] == ["a-1", "a-2", "a-4"]
    assert dropped["label exc"] == 1
    corpus = load("impro")
    kept, dropped = apply_policy(corpus, UTTS)
    assert [u.utt for u in kept] == ["a-1", "a-3"]
    assert dropped["style scripted, not improvised"] == 2
    check_counts(corpus, kept)


def test_unknown_labels_are_named_with_id_and_file(load):
    with pytest.raises(SertlError, match=r"'Ang': 1 utterances, first a-7 \(7.wav\)"):
        apply_policy(load(), [*UTTS, utt("7", "Ang")])


def test_wrong_counts_print_found_expected_difference(load, caplog):
    kept, _ = apply_policy(load(), UTTS[1:] + [utt("8", "neu", session="3")])
    with pytest.raises(SertlError) as error:
        check_counts(load(), kept)
    lines = [line.split() for line in str(error.value).splitlines()]
    assert ["group", "ang", "hap", "neu", "all"] in lines
    assert ["1", "0/1", "(-1)", "2/2", "0/0", "2/3", "(-1)"] in lines
    assert ["2", "0/0", "0/0", "1/1", "1/1"] in lines
    assert ["3", "0/0", "0/0", "1/0", "(+1)", "1/0", "(+1)"] in lines
    assert ["all", "0/1", "(-1)", "2/2", "2/1", "(+1)", "4/4"] in lines
    assert "--allow-subset" in str(error.value)
    with caplog.at_level(logging.WARNING):
        check_counts(load(), kept, allow_subset=True)
    assert "0/1 (-1)" in caplog.text


def test_groups_need_a_session(load):
    with pytest.raises(SertlError, match="'a-1' has no session"):
        check_counts(load(), [Utterance("a-1", "a", "x", 1.0, "ang")])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lables": []}, "unknown key .*'lables'; did you mean 'labels'"),
        ({"policies": {"merged": {"mege": {}}}}, "'mege'; did you mean 'merge'"),
        ({"cite": "remove"}, "missing key cite"),
        ({"default_policy": "remove"}, "no `default_policy`"),
        ({"labels": ["ang", "ang"]}, "has one twice"),
        ({"labels": ["no", False, "hap"]}, r"labels\[1\]: False is not text; write it in quotes"),
        ({"release": 1.1}, "release: 1.1 is not text"),
        ({"expected": {3: {"ang": 1}}}, "expected: the key 3 is not text"),
        ({"expected": {"1": {"anger": 1}}}, "'anger'; did you mean 'ang'"),
        ({"expected": {"1": {"ang": "1"}}}, "expected.1.ang: '1' is not a whole number"),
        ({"expected": {"1": 4}}, "expected.1: 4 is not a mapping"),
        ({"expected": {"1": {"ang": 1}, "all": {"ang": 1}}}, "both 'all' and single groups"),
        ({"merge": {"exc": "happy"}}, "'happy'; did you mean 'hap'"),
        ({"merge": {"xxx": "hap"}}, "'xxx' is merged into 'hap' and also"),
        ({"drop": ["ang"]}, "'ang' is both a class and dropped"),
        ({"group_by": "sesion"}, "did you mean 'session'"),
        ({"protocol": "losso"}, "did you mean 'loso'"),
        ({"only_style": "improvised!"}, "did you mean 'improvised'"),
        ({"vad_range": [5, 1]}, r"\[5, 1\] is not \[lowest, highest\]"),
        ({"vad_range": "1 5"}, r"is not (null . )?\[lowest, highest\]"),
        ({"excluded": ["a-9"]}, r"excluded: \[.a-9.\] is not .*a mapping"),
        ({"shared_speakers": "yes, some"}, "is not .*true . false"),
        ({"labels": "ang hap"}, "is not .*a list, each text"),
    ],
)
def test_mistakes_in_the_file(load, changes, message):
    with pytest.raises(SertlError, match=message):
        load(**changes)


def test_unknown_policy_missing_file_and_bad_yaml(load, tmp_path):
    with pytest.raises(SertlError, match="'merge'; did you mean 'merged'"):
        load("merge")
    with pytest.raises(SertlError, match="no such file"):
        load_corpus(tmp_path / "no.yaml")
    (tmp_path / "x.yaml").write_text("a: [1")
    with pytest.raises(SertlError, match="not valid YAML"):
        load_corpus(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_text("- a\n")
    with pytest.raises(SertlError, match="found list"):
        load_corpus(tmp_path / "x.yaml")


def test_without_policies_there_is_one_called_default(load):
    corpus = load(policies="remove", default_policy="remove")
    assert corpus.policy == "default"
