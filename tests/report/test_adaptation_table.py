# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The table of an adaptation: kinds, before and after, forgetting, paired tests."""

from dataclasses import replace

import numpy as np
import pytest

from sertl.atomic import write_text
from sertl.data.datadir import read_data_dir, write_data_dir
from sertl.errors import SertlError
from sertl.report.adaptation_table import adaptation_tables, load_adapted, paired
from sertl.score.pairing import load_scored
from sertl.score.scoring import score_experiment
from sertl.score.significance import compare
from sertl.yaml_text import dump_yaml

SOURCE = {
    "name": "source",
    "init": {"from": None},
    "data_conf": {"train": ["fold/source_train"], "share": 1},
}


def target(share=1.0, init=None, train=("fold",)):
    start = {"from": init}
    return {"name": "target", "init": start, "data_conf": {"train": list(train), "share": share}}


@pytest.fixture
def pair(recipe):
    """A function: an experiment of these phases, right as often as `source` and `test` say."""
    fake = recipe(num_sessions=3, utts_per_spk=20, rich=False)
    for k in (1, 2, 3):  # an official source test set: the same in all folds
        data = read_data_dir(fake.root / "data/fold1/test")
        write_data_dir(fake.root / f"data/fold{k}/source_test", data.utts.values(), data.labels)

    def make(tag, phases, source, test):
        exp = fake.write_exp(tag, seeds=(1, 2), folds=(1, 2, 3), skill=test)
        write_text(exp / "config.yaml", dump_yaml({"method": "any", "phases": phases}))
        for seed in (1, 2):
            for fold in (1, 2, 3):
                folder = exp / f"seed{seed}/fold{fold}"
                fake.write_decode(folder, "source_test", seed, fold, source)
        for name in ("test", "source_test"):
            score_experiment(exp, name, [], [])
        return exp

    return make


@pytest.fixture
def table(pair):
    """Experiments of every kind."""
    both = ("fold", "fold/source_train")
    return [
        pair("two_1.0", [SOURCE, target(init="source")], source=0.5, test=0.8),
        pair("alone_0.1", [target(0.1)], source=0.1, test=0.3),
        pair("first", [SOURCE], source=0.9, test=0.2),
        pair("two_0.1", [SOURCE, target(0.1, "exp/first")], source=0.6, test=0.7),
        pair("both_0.1", [target(0.1, train=both)], source=0.8, test=0.75),
    ]


def test_rows_columns_and_forgetting(table):
    scores, tests = adaptation_tables(table)
    assert [row[:3] for row in scores.rows] == [
        ["first", "source only", "0"],
        ["alone_0.1", "target only", "10"],
        ["both_0.1", "pooled", "10"],
        ["two_0.1", "two-stage", "10"],
        ["two_1.0", "two-stage", "100"],
    ]
    rows = {row[0]: dict(zip(scores.header, row, strict=True)) for row in scores.rows}
    for metric in ("UA", "WA"):
        name = metric.lower()
        found = {
            (exp.name, part): load_scored(exp, part).summary["metrics"][name]["pooled"]["mean"]
            for exp in table
            for part in ("test", "source_test")
        }
        for exp in table:
            row = rows[exp.name]
            assert row[f"target {metric}"] == f"{100 * found[exp.name, 'test']:.2f}"
            assert row[f"source {metric}"] == f"{100 * found[exp.name, 'source_test']:.2f}"
        before, after = found["first", "source_test"], found["two_1.0", "source_test"]
        assert rows["two_1.0"][f"source {metric} before"] == rows["first"][f"source {metric}"]
        assert rows["two_1.0"][f"forgetting {metric}"] == f"{100 * (before - after):+.2f}"
        assert rows["both_0.1"][f"forgetting {metric}"] == "–"
    assert [row[0] for row in tests.rows] == ["alone_0.1", "both_0.1", "two_0.1", "two_1.0"]
    tested = {row[0]: row for row in tests.rows}
    assert tested["two_1.0"][1].startswith("-") and tested["two_1.0"][4].startswith("+")
    assert tested["two_1.0"][7] == "–"  # no target-only model with 100 %
    assert tested["two_0.1"][7].startswith("+") and tested["alone_0.1"][7] == "–"
    assert "Source: 40 test utterances, target: 120" in scores.notes[0]


def test_only_one_source_only_and_on_both_sides(table, pair):
    with pytest.raises(SertlError, match="trained on the source only, found none"):
        adaptation_tables(table[:2])
    second = pair("second", [SOURCE], source=0.9, test=0.2)
    with pytest.raises(SertlError, match="found first, second"):
        adaptation_tables([*table, second])
    other = pair("other", [target(train=["../emodb/data/all"])], source=0.5, test=0.5)
    with pytest.raises(SertlError, match="no phase trains on fold or fold/source_train"):
        load_adapted(other)
    for path in second.glob("seed*/fold*/score_source_test.json"):
        path.unlink()
    with pytest.raises(SertlError, match="holds no score_source_test.json"):
        load_adapted(second)


def test_before_must_be_where_stage_2_started(table, pair):
    wrong = pair("wrong", [SOURCE, target(init="exp/elsewhere")], source=0.5, test=0.5)
    with pytest.raises(SertlError, match="starts from exp/elsewhere, but the source-only .*first"):
        adaptation_tables([*table, wrong])
    changed = {**SOURCE, "data_conf": {"train": ["fold/source_train"], "share": 0.5}}
    wrong = pair("wrong2", [changed, target(init="source")], source=0.5, test=0.5)
    with pytest.raises(SertlError, match="first stage of .*wrong2 is not that .*share: 1 -> 0.5"):
        adaptation_tables([*table, wrong])


def test_an_utterance_in_several_folds_is_one_draw(table):
    """The same answers thrice say no more than once: the interval stays."""
    runs = [load_scored(table[i], "source_test") for i in (2, 0)]
    once, thrice = [], []
    for run in runs:
        keys = [key for key in run.keys if key[0] == 1]
        rows = [i for i, key in enumerate(run.keys) if key[0] == 1]
        p = run.predictions
        part = replace(p, ref=p.ref[rows], hyp=p.hyp[:, rows], spk=p.spk[rows])
        three = replace(
            part, ref=np.tile(part.ref, 3), hyp=np.tile(part.hyp, 3), spk=np.tile(part.spk, 3)
        )
        several = [(fold, utt) for fold in (1, 2, 3) for _, utt in keys]
        once.append(replace(run, keys=keys, hashes={1: "x"}, predictions=part))
        thrice.append(
            replace(run, keys=several, hashes=dict.fromkeys((1, 2, 3), "x"), predictions=three)
        )
    for unit in ("utt", "spk"):
        a, b = paired(*once, unit), paired(*thrice, unit)
        plain = compare(once[1].predictions, once[0].predictions, "ua", unit)
        assert a.interval == pytest.approx(plain.interval)
        assert b.interval == pytest.approx(a.interval)
        assert (b.difference, b.p_permutation) == (pytest.approx(a.difference), a.p_permutation)


def test_the_command(table, tmp_path, monkeypatch, capsys):
    from sertl.bin import adaptation

    exps = [str(exp) for exp in table]
    monkeypatch.setattr("sys.argv", ["adaptation", *exps, "--out", str(tmp_path / "t.md")])
    adaptation.main()
    assert "forgetting UA" in capsys.readouterr().out
    text = (tmp_path / "t.md").read_text()
    assert text.count("| two_1.0 |") == 2 and "Paired tests" in text
