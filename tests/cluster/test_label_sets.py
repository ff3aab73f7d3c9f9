# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Label sets of a fold: which, learned from which ids, resumed, and how good they are."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from arks import clouds, write_feats
from sklearn.metrics import normalized_mutual_info_score

from sertl import fingerprint
from sertl.cluster import label_sets
from sertl.cluster.label_sets import (
    check_settings,
    choose_sets,
    count_frames,
    make_labels,
)
from sertl.cluster.quality import measure, perplexity, purity
from sertl.data.ark import read_array, read_scp
from sertl.data.datadir import DataDir, Utterance, write_table
from sertl.data.frame_labels import LabelSet
from sertl.errors import SertlError
from sertl.schema.method_keys import PseudoLabels
from sertl.schema.strict import defaults
from sertl.stages.label_diagnostics import (
    lines_of_labels,
    table_of_labels,
    write_label_diagnostics,
)

ROOT = Path(__file__).resolve().parents[2]
CONF = {**defaults(PseudoLabels), "layers": [1, 3], "clusters": [4, 6, 500]}
CONF |= {"min_frames": 10, "restarts": 2}


@pytest.fixture
def fold(tmp_path):
    """Feats of two layers; eight utterances train, four are dev."""
    feats, frames = tmp_path / "feats", clouds()
    for layer in (1, 3):
        write_feats(feats / f"layer{layer}" / "feats", clouds(seed=layer, number=12))
    frames = {utt: len(m) for utt, m in clouds(seed=1).items()}
    write_feats(feats / "layer3" / "feats", {u: np.ones((n, 2)) * n for u, n in frames.items()})
    write_table(feats / "utt2num_frames", {utt: str(n) for utt, n in frames.items()})
    utts = {
        utt: Utterance(utt, utt[:2], "none.wav", 1.0, emo="ab"[i % 2], gender="fm"[i % 2])
        for i, utt in enumerate(sorted(frames))
    }
    ids = list(utts)
    parts = {
        name: DataDir(tmp_path, {u: utts[u] for u in own}, ["a", "b"], None)
        for name, own in {"train": ids[:8], "dev": ids[8:]}.items()
    }
    return feats, utts, parts


def label(conf, feats, learned_on, labelled, out, seed):
    """Choose the sets and make them."""
    total = sum(count_frames(feats)[utt] for utt in learned_on)
    sets = choose_sets(conf["layers"], conf["clusters"], total, conf["min_frames"])
    return make_labels(conf, sets, {"teacher": feats}, learned_on, labelled, out, seed)


def test_a_scale_needs_enough_frames(caplog):
    names = [s.name for s in choose_sets([6, 9], [8, 16, 17], 800, 50)]
    assert names == ["layer6_k8", "layer6_k16", "layer9_k8", "layer9_k16"]
    assert "K = 17 is dropped: 800 training frames, 850 needed" in caplog.text
    with pytest.raises(SertlError, match="no number of clusters in"):
        choose_sets([6], [17], 800, 50)


def test_learned_from_training_ids_only(fold, tmp_path, monkeypatch):
    feats, utts, parts = fold
    read = []
    plain = label_sets.learn_codebook
    monkeypatch.setattr(
        label_sets,
        "learn_codebook",
        lambda f, *a, **k: read.append(set(f.utts)) or plain(f, *a, **k),
    )
    books = label(CONF, feats, parts["train"].utts, utts, tmp_path / "out", seed=3)
    assert [s.name for s in books] == ["layer1_k4", "layer1_k6", "layer3_k4", "layer3_k6"]
    assert all(ids == set(parts["train"].utts) for ids in read)
    for label_set, book in books.items():
        assert book.info["ids"]["hash"] == fingerprint.ids_hash(parts["train"].utts)
        assert set(read_scp(tmp_path / "out" / label_set.name / "labels.scp")) == set(utts)
    with pytest.raises(SertlError, match="was made from other inputs"):  # another fold's list
        label(CONF, feats, parts["dev"].utts, utts, tmp_path / "out", seed=3)


def test_a_killed_stage_goes_on_with_the_next_set(fold, tmp_path, monkeypatch):
    feats, utts, parts = fold
    whole = label(CONF, feats, parts["train"].utts, utts, tmp_path / "whole", seed=3)
    calls = []
    plain = label_sets.dump_labels

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        plain(*arguments)

    monkeypatch.setattr(label_sets, "dump_labels", killed)
    with pytest.raises(KeyboardInterrupt):
        label(CONF, feats, parts["train"].utts, utts, tmp_path / "out", seed=3)
    resumed = label(CONF, feats, parts["train"].utts, utts, tmp_path / "out", seed=3)
    assert len(calls) == 2 + 3  # the first set was whole
    for label_set, book in whole.items():
        assert np.array_equal(book.centroids, resumed[label_set].centroids)


def test_per_gender_labels(fold, tmp_path):
    feats, utts, parts = fold
    conf = {**CONF, "layers": [1], "clusters": [4], "per_gender": True}
    label(conf, feats, parts["train"].utts, utts, tmp_path / "out", seed=3)
    for utt, spec in read_scp(tmp_path / "out/layer1_k4/labels.scp").items():
        female = utts[utt].gender == "f"
        assert (read_array(spec, utt) < 2).all() == female


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"per_gender": True, "clusters": [5]}, "even number, got 5"),
    ],
)
def test_settings_that_cannot_be(fold, change, message):
    _, utts, _ = fold
    check_settings(CONF, utts)
    with pytest.raises(SertlError, match=message):
        check_settings({**CONF, **change}, utts)


def test_diagnostics(fold, tmp_path):
    feats, utts, parts = fold
    books = label(CONF, feats, parts["train"].utts, utts, tmp_path / "out", seed=3)
    found = write_label_diagnostics(tmp_path / "out", books, parts, stride=320)
    assert set(found["layer1_k4"]) == {"train", "dev"}
    table, lines, timelines = json.loads((tmp_path / "out/diagnostics.json").read_text())
    assert ["layer3_k6", "dev"] in [row[:2] for row in table["rows"]]
    assert "speaker NMI" in table["header"] and lines["kind"] == "lines"
    shown = timelines["panels"][0]
    utt = shown["title"].split()[0]
    for row, labels in zip(timelines["rows"], shown["labels"], strict=True):
        spec = read_scp(tmp_path / "out" / row["name"] / "labels.scp")[utt]
        assert labels == read_array(spec, utt).tolist()
    assert timelines["frame_sec"] == 0.02


def test_what_dev_speakers_share_is_shown_of_the_training_set():
    """A dev set of one speaker says nothing about gender and speaker."""
    differs = {"nmi": 0.5, "purity": 0.7, "chance": 0.5}
    same = {"nmi": 0.0, "purity": 1.0, "chance": 1.0}
    train = {"perplexity": 3.0, "emotion": differs, "gender": differs, "speaker": differs}
    dev = {"perplexity": 3.0, "emotion": differs, "gender": same, "speaker": same}
    one, found = LabelSet(1, 4), {"layer1_k4": {"train": train, "dev": dev}}
    panels = lines_of_labels(found, [one])["panels"]
    titles = [panel["title"] for panel in panels]
    assert titles == ["With emotion, dev", "With gender, train", "With speaker, train"]
    assert panels[0]["lines"] == {"K = 4": [[1, 0.5]]}
    book = SimpleNamespace(info={"dead": 0, "inertia": 1.0})
    row = table_of_labels(found, {one: book})["rows"][1]
    assert row == ["layer1_k4", "dev", 0, 1.0, 3.0, 0.5, 0.7, 0.5, *[None] * 6]


def test_quality_by_hand():
    """Clusters 0 0 0 1 1 2 against classes a a b b b a: majorities 2 + 2 + 1 of 6 frames."""
    truth, labels = np.array([0, 0, 1, 1, 1, 0]), np.array([0, 0, 0, 1, 1, 2])
    assert purity(truth, labels) == pytest.approx(5 / 6)
    assert perplexity(np.array([3, 3, 5, 5])) == pytest.approx(2.0)
    assert perplexity(np.array([1, 1])) == pytest.approx(1.0)


def test_quality_of_utterances():
    """Labels that are the gender: NMI 1 with it, 0 with what is independent of it."""
    utts = {
        u: Utterance(u, "s", "x", 1.0, emo=e, gender=g)
        for u, e, g in [("a", "p", "f"), ("b", "q", "f"), ("c", "p", "m"), ("d", "q", "m")]
    }
    utts["e"] = Utterance("e", "s", "x", 1.0)  # known by its speaker only
    data = DataDir(Path("x"), utts, ["p", "q"], None)
    labels = {u: np.full(3, "abcde".index(u) // 2, np.int32) for u in utts}
    found = measure(data, labels)
    assert found["gender"]["nmi"] == pytest.approx(1.0) and found["gender"]["purity"] == 1.0
    assert found["emotion"]["nmi"] == pytest.approx(0.0, abs=1e-9)
    assert found["emotion"]["purity"] == found["emotion"]["chance"] == 0.5
    assert found["speaker"]["chance"] == 1.0
    truth, own = np.repeat([0, 0, 1, 1], 3), np.repeat([0, 0, 1, 1], 3)
    assert found["gender"]["nmi"] == pytest.approx(normalized_mutual_info_score(truth, own))


def test_every_key_of_pseudo_labels_is_read_somewhere():
    sources = "\n".join(p.read_text() for p in (ROOT / "sertl").rglob("*.py"))
    unread = [k for k in PseudoLabels.keys() if f'["{k}"]' not in sources]
    assert unread == []


def test_each_set_has_a_seed_of_its_own(fold, tmp_path, monkeypatch):
    """By its name, so that leaving a set out changes no other."""
    feats, utts, parts = fold
    seeds = {}
    plain = label_sets.learn_codebook

    def spy(frames, clusters, seed, *args, **kwargs):
        seeds.setdefault(seed, []).append(clusters)
        return plain(frames, clusters, seed, *args, **kwargs)

    monkeypatch.setattr(label_sets, "learn_codebook", spy)
    label(CONF, feats, parts["train"].utts, utts, tmp_path / "out", seed=3)
    assert len(seeds) == 4 and all(len(found) == 1 for found in seeds.values())
    before = {*seeds}
    alone = {**CONF, "layers": [3], "clusters": [6]}
    label(alone, feats, parts["train"].utts, utts, tmp_path / "alone", seed=3)
    assert {*seeds} == before
