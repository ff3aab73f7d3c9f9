# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Pairs of corpora: labels mapped, nothing dropped unsaid, ids that clash, messages."""

from pathlib import Path

import pytest
from recipes_of_pairs import MAP, ONE, TWO, pair_of, utterances, write_pair, write_recipe

from sertl.data.corpus import check_counts, load_corpus
from sertl.data.label_map import check_map
from sertl.errors import SertlError
from sertl.schema.corpus_keys import PairFile
from sertl.schema.strict import checked
from sertl.yaml_text import load_yaml

EGS = Path(__file__).resolve().parents[2] / "egs"
PAIRS = sorted((EGS / "adaptation/conf/pairs").glob("*.yaml"))


@pytest.mark.parametrize("path", PAIRS, ids=lambda p: p.stem)
def test_every_pair_fits_the_labels_of_its_corpora(path):
    conf = checked(PairFile, load_yaml(path), path.name)
    sources = conf["source"] if isinstance(conf["source"], list) else [conf["source"]]
    labels = []
    for side in (*sources, conf["target"]):
        corpus = load_corpus(EGS / side["recipe"] / side["conf"], side["policy"])
        assert side["data"] in ("data/all", f"data/{corpus.policy}/all")
        labels.append(corpus.labels)
    known = [label for row in labels[:-1] for label in row]
    check_map(str(path), conf["map"], known, labels[-1])
    assert len({*conf["map"].values()} - {None}) in (4, 5)


@pytest.fixture
def root(tmp_path):
    """one: speakers a b c, labels angry calm glad odd; two: x y z, ang bored hap neu; 2 of each."""
    write_recipe(tmp_path, "one", utterances("abc", ONE), ONE)
    write_recipe(tmp_path, "two", utterances("xyz", TWO, part="train"), TWO)
    write_pair(tmp_path)
    return tmp_path


def test_labels_are_mapped_and_what_is_dropped_is_counted(root):
    pair = pair_of(root)
    assert pair.corpus.labels == ["ang", "hap", "neu"]  # the target's, in its order
    labels = {u.utt: u.emo for u in pair.utts}
    assert len(labels) == 3 * 3 * 2 * 2
    assert (labels["a-angry0"], labels["b-calm1"], labels["c-glad0"]) == ("ang", "neu", "hap")
    assert labels["x-hap1"] == "hap"
    assert not [utt for utt in labels if "odd" in utt or "bored" in utt]
    [source] = pair.sources
    assert (source.dropped, pair.target.dropped) == ({"odd": 6}, {"bored": 6})
    for words in ("source: one", "dropped: odd 6", "target: two", "dropped: bored 6"):
        assert words in pair.corpus.notes
    assert pair.corpus.merge == {"angry": "ang", "calm": "neu", "glad": "hap"}
    assert (pair.corpus.name, pair.corpus.policy) == ("one to two", "pair")
    assert (pair.corpus.language, pair.corpus.release) == ("one; two", "1")


def test_audio_is_found_from_another_folder(root):
    wavs = {u.utt: u.wav for u in pair_of(root).utts}
    assert wavs["a-angry0"] == f"{root}/one/wav/a-angry0.wav"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({**MAP, "angri": "ang"}, "unknown label in .*: map 'angri'; did you mean"),
        ({**MAP, "angry": "agn"}, "unknown class in .*: map: angry -> 'agn'; did you mean 'an"),
        ({**MAP, "odd": False}, "map.odd: False is not text; write it in quotes"),
        ({k: v for k, v in MAP.items() if k != "odd"}, "map says nothing of odd; give the class"),
        ({**dict.fromkeys(MAP), "calm": "neu"}, "fewer than two classes"),
        (None, "map: None is not a mapping"),
    ],
)
def test_a_map_that_does_not_fit(root, table, message):
    write_pair(root, table=table)
    with pytest.raises(SertlError, match=message):
        pair_of(root)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"recipe": "one", "polcy": "x"}, "did you mean 'policy'"),
        ({"recipe": "one", "policy": "x"}, "unknown label policy"),
        ({"recipe": "three"}, r"three/data/all is not there; make it with: cd .*/three && ./run"),
        ({"recipe": "one", "conf": "../two/conf/corpus.yaml"}, "name the `policy` that the data"),
        ("one", "source: 'one' is not"),
        ({"recipe": "two"}, "label in .*: map"),
    ],
)
def test_a_side_that_does_not_fit(root, source, message):
    write_pair(root, source=source)
    with pytest.raises(SertlError, match=message):
        pair_of(root)


def test_an_unknown_pair(root):
    with pytest.raises(SertlError, match="unknown pair .* 'pare'; did you mean 'pair'"):
        pair_of(root, "pare")


def test_ids_that_clash_are_refused_and_told_apart(root):
    """A speaker `x` in both corpora may be two people; a prefix says so."""
    write_recipe(root, "one", utterances("abx", ONE), ONE)
    with pytest.raises(SertlError, match="speaker 'x' is in one and in two; .*prefix"):
        pair_of(root)
    write_recipe(root, "one", utterances("x", ["ang", "hap"]), ["ang", "hap"])
    write_pair(root, table={"ang": "ang", "hap": "hap"})
    with pytest.raises(SertlError, match="utterance 'x-ang0' is in one and in two; .*prefix"):
        pair_of(root)
    write_pair(root, source={"recipe": "one", "prefix": "o_"}, table={"ang": "ang", "hap": "hap"})
    assert {u.spk for u in pair_of(root).sources[0].utts.values()} == {"o_x"}


def test_the_same_part_of_one_corpus_twice_is_refused(root):
    write_pair(root, source={"recipe": "two"}, table={label: label for label in TWO})
    with pytest.raises(SertlError, match="must be different parts of the corpus"):
        pair_of(root)


def test_several_sources(root):
    write_recipe(root, "three", utterances("pq", ["calm", "rage"]), ["calm", "rage"])
    source = [{"recipe": "one"}, {"recipe": "three"}]
    write_pair(root, source=source, table={**MAP, "rage": "ang"})
    pair = pair_of(root)
    assert [len(side.utts) for side in pair.sources] == [18, 8]
    assert pair.sources[1].utts["p-rage0"].emo == "ang"
    assert pair.corpus.name == "one + three to two"


def test_counts_of_the_corpora_are_those_of_the_pair(root):
    """Stated 6 of each; one is missing in the data."""
    counts = {"expected": {"all": dict.fromkeys(ONE, 6)}}
    write_recipe(root, "one", utterances("abc", ONE), ONE, **counts)
    assert pair_of(root).corpus.expected == {}  # two states none
    write_recipe(root, "two", utterances("xyz", TWO), TWO, expected={"all": dict.fromkeys(TWO, 6)})
    pair = pair_of(root)
    assert pair.corpus.expected == {"all": {"ang": 12, "neu": 12, "hap": 12}}
    check_counts(pair.corpus, pair.utts)
    write_recipe(root, "one", utterances("abc", ONE)[1:], ONE, **counts)
    with pytest.raises(SertlError, match=r"11/12 \(-1\)"):
        check_counts(pair_of(root).corpus, pair_of(root).utts)


def test_ratings_are_kept_on_one_scale_only(root, caplog):
    rated = {"vad": (1.0, 2.0, 3.0)}
    write_recipe(root, "two", utterances("xyz", TWO, **rated), TWO, (1, 5))
    caplog.set_level("INFO")
    pair = pair_of(root)
    assert pair.corpus.vad_range is None and not any(u.vad for u in pair.utts)
    assert "left out, their scales differ" in caplog.text
    write_recipe(root, "one", utterances("abc", ONE, **rated), ONE, (1, 5))
    pair = pair_of(root)
    assert pair.corpus.vad_range == (1.0, 5.0) and all(u.vad for u in pair.utts)
