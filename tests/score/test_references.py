# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Published numbers: the shipped file, its keys, and broken files."""

from pathlib import Path
from typing import get_args

import pytest

from sertl.errors import SertlError
from sertl.schema.reference_keys import Tag
from sertl.score.references import TAGS, corpus_key, group_by_near, load_references, nearest_first

REFERENCE = Path(__file__).resolve().parents[2] / "conf" / "reference_results.yaml"
ROW = (
    "{id: x, method: probe, folds: session5, dev: none, near: loso, ua: 70.5, tag: CODE, cite: a/b}"
)


def write(tmp_path, text):
    path = tmp_path / "reference.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_file():
    rows = {row.id: row for row in load_references(REFERENCE)["iemocap4"]}
    assert len(rows) == 37
    assert (rows["d_full"].ua, rows["d_full"].wa, rows["d_full"].near) == (82.0, 80.0, "-")
    assert rows["ptapt"].ua_by_fold == (72.8, 80.2, 71.0, 73.6, 73.7)
    assert rows["gemo_clap"].upstream == ""
    for row in rows.values():
        assert row.near in ("-", "loso", "superb", "fixed", "loso10", "official")
        assert row.why or row.near != "-"
        if row.ua_by_fold:
            assert sum(row.ua_by_fold) / 5 == pytest.approx(row.ua, abs=0.06)


@pytest.mark.parametrize(
    ("corpus", "policy", "key"),
    [
        ("iemocap", "4class", "iemocap4"),
        ("iemocap", "4class-noexc", "iemocap4-noexc"),
        ("emodb", "7class", "emodb7"),
        ("nemo", "default", "nemo"),
        ("nemo", "nemo30", "nemo30"),
    ],
)
def test_corpus_key(corpus, policy, key):
    assert corpus_key(corpus, policy) == key


def test_groups_keep_the_order_of_the_file():
    rows = load_references(REFERENCE)["iemocap4"]
    groups = group_by_near(rows, "superb")
    assert [near for near, _ in groups] == ["superb", "fixed", "loso", "-"]
    assert [row.id for row in groups[2][1]] == [
        "peftser_head",
        "peftser_adapter",
        "peftser_lora_ffn",
    ]


def test_every_row_of_the_two_stage_paper_is_a_method():
    """Each of our runs finds its row of the paper's tables."""
    rows = [r for r in load_references(REFERENCE)["iemocap4"] if r.cite == "Gao 2024"]
    folder = REFERENCE.parent / "method"
    confs = {f"two_stage/{p.stem}" for p in (folder / "two_stage").glob("*.yaml")}
    assert len(rows) == 14 and {row.method for row in rows} == confs
    best = next(row for row in rows if row.method == "two_stage/scl_cos")
    assert (best.ua, best.wa, best.gender_ua, best.style_ua) == (78.49, 77.85, 98.64, 90.57)


def test_the_same_method_stands_first():
    rows = load_references(REFERENCE)["iemocap4"]
    assert nearest_first(rows, "two_stage/concat")[0].id == "c_concat"
    assert {r.cite for r in nearest_first(rows, "two_stage")[:14]} == {"Gao 2024"}
    assert nearest_first(rows, "") == rows


def test_several_corpora_in_one_file(tmp_path):
    text = f"corpus: a4\nresults: [{ROW}]\n---\ncorpus: b\nresults: [{ROW.replace('x', 'y', 1)}]\n"
    assert {k: [r.id for r in v] for k, v in load_references(write(tmp_path, text)).items()} == {
        "a4": ["x"],
        "b": ["y"],
    }


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROW.replace("ua:", "uar:"), r"x: unknown key 'uar'; did you mean 'ua'\?"),
        (
            ROW.replace("CODE", "PAPR"),
            r"x: tag: 'PAPR' is not PAPER . PAPER~ . CODE; did you mean 'PAPER'\?",
        ),
        (ROW.replace("near: loso, ", ""), "x: near: missing"),
        (ROW.replace("ua: 70.5, ", ""), "x has no number"),
        (f"{ROW}, {ROW}", "repeated id x"),
    ],
)
def test_broken_rows(tmp_path, row, message):
    with pytest.raises(SertlError, match=message):
        load_references(write(tmp_path, f"corpus: a\nresults: [{row}]\n"))


def test_broken_files(tmp_path):
    with pytest.raises(SertlError, match="none.yaml: no such file"):
        load_references(tmp_path / "none.yaml")
    with pytest.raises(SertlError, match="not valid YAML"):
        load_references(write(tmp_path, "{"))
    with pytest.raises(SertlError, match="results: missing"):
        load_references(write(tmp_path, "corpus: a\n"))


def test_every_tag_is_explained():
    assert {*TAGS} == {*get_args(Tag)}
