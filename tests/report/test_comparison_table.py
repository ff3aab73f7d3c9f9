# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Pairing of experiments, and the three commands as a user calls them."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sertl.cli import run
from sertl.errors import SertlError
from sertl.report.comparison_table import compare_table, compare_two
from sertl.score.pairing import load_scored, pair
from sertl.score.scoring import score_experiment


@pytest.fixture
def two(recipe):
    """Experiments A (skill 0.4, two seeds) and B (skill 0.9, one seed) on the same folds."""
    fake = recipe(num_sessions=3, utts_per_spk=12, rich=False)
    fake.write_exp("A", seeds=(1, 2), folds=(1, 2, 3), skill=0.4, epochs=1)
    fake.write_exp("B", seeds=(1,), folds=(1, 2, 3), skill=0.9, epochs=1)
    for tag in ("A", "B"):
        score_experiment(f"exp/{tag}", "test", [], [])
    return fake


def words(table, row):
    return dict(zip(table.header, table.rows[row], strict=True))


def test_two_experiments(two):
    a, b = load_scored("exp/A", "test"), load_scored("exp/B", "test")
    pooled, folds = compare_two(a, b)
    ua = words(pooled, 0)
    assert float(ua["B − A"]) == pytest.approx(float(ua["B"]) - float(ua["A"]), abs=0.011)
    assert float(ua["A"]) == pytest.approx(
        100 * a.summary["metrics"]["ua"]["pooled"]["mean"], abs=0.01
    )
    assert ua["p (randomisation)"] == "< 0.001"
    assert len(folds.rows) == 3
    assert folds.notes == ["B is better in 3 of 3 folds."]
    (back, _) = compare_two(b, a)
    assert words(back, 0)["B − A"] == "-" + ua["B − A"][1:]
    by_speaker, _ = compare_two(a, b, "spk")
    assert words(by_speaker, 0)["p (randomisation)"] == f"{2 / 2**6:.3f}"  # all six agree: exact


def test_an_experiment_of_another_recipe_keeps_its_own_references(two, tmp_path, monkeypatch):
    """The current recipe has data of the same name, with other content."""
    other = tmp_path / "other"
    shutil.copytree(two.root / "data", other / "data")
    for path in other.glob("data/fold*/test/utt2emo"):
        path.write_text(path.read_text().replace("ang", "sad"))
    expected = load_scored("exp/A", "test").summary
    monkeypatch.chdir(other)
    for exp in (two.root / "exp/A", os.path.relpath(two.root / "exp/A")):
        assert load_scored(exp, "test").summary == expected


def test_pairing_joins_by_utterance_not_by_order(two):
    a, b = load_scored("exp/A", "test"), load_scored("exp/B", "test")
    order = np.random.default_rng(0).permutation(len(b.keys))
    p = b.predictions
    shuffled = type(p)(p.ref[order], p.hyp[:, order], p.spk[order], p.num_classes)
    other = type(b)(**{**vars(b), "keys": [b.keys[i] for i in order], "predictions": shuffled})
    assert np.array_equal(pair(a, b)[1].hyp, pair(a, other)[1].hyp)


def test_other_folds_are_refused_unless_intersect(two):
    two.write_exp("C", seeds=(1,), folds=(1, 2), skill=0.9, epochs=1)
    score_experiment("exp/C", "test", [], [])
    a, c = load_scored("exp/A", "test"), load_scored("exp/C", "test")
    with pytest.raises(
        SertlError, match=r"cannot be paired: other folds: \[1, 2, 3\] and \[1, 2\]"
    ):
        compare_two(a, c)
    (table,) = compare_two(a, c, intersect=True)
    notes = " ".join(table.notes)
    assert "48 utterances of 4 speakers" in notes
    assert "ONLY COMMON UTTERANCES" in notes
    assert "exp/C: INCOMPLETE, seed 1 lacks fold 3 of 3." in notes


def test_other_lists_classes_and_references_are_refused(two):
    a, b = load_scored("exp/A", "test"), load_scored("exp/B", "test")
    lists = type(b)(**{**vars(b), "hashes": {**b.hashes, 2: "0123"}})
    with pytest.raises(SertlError, match="other lists in fold 2: hash .* and 0123"):
        pair(a, lists)
    fewer = type(b)(**{**vars(b), "keys": [(1, "someone-else"), *b.keys[1:]]})
    with pytest.raises(SertlError, match="2 utterances are in one of them only, e.g. Ses01F-000"):
        pair(a, fewer)
    classes = type(b)(**{**vars(b), "labels": ["x", "y"]})
    with pytest.raises(SertlError, match="other classes: ang hap neu sad and x y"):
        pair(a, classes, intersect=True)
    p = b.predictions
    relabelled = type(p)((p.ref + 1) % 4, p.hyp, p.spk, p.num_classes)
    with pytest.raises(SertlError, match="'Ses01F-000' has the reference"):
        pair(a, type(b)(**{**vars(b), "predictions": relabelled}), intersect=True)


def test_table(two):
    two.write_exp("C", seeds=(1,), folds=(1, 2), skill=0.9, epochs=1)
    score_experiment("exp/C", "test", [], [])
    table = compare_table(["exp/A", "exp/B", "exp/C"], "test")
    assert [row[0] for row in table.rows] == ["A", "B", "C"]
    first, second, third = (words(table, i) for i in range(3))
    assert first["UA − first"] == "reference"
    assert second["p"] == second["p (Holm)"] == "< 0.001"
    assert third["UA − first"] == third["p"] == "–"
    assert first["parameters trained"] == "197,905"
    assert (first["seeds"], first["s per epoch"], first["GiB"]) == ("2", "2.50", "0.83")
    assert (first["s per update"], first["checkpoint, MiB"]) == ("0.500", "1.25")
    assert any(note.startswith("C is not tested: other folds") for note in table.notes)
    assert any("C: INCOMPLETE" in note for note in table.notes)


def test_a_table_says_who_uses_audio_of_test_speakers(two):
    assert not any("speaker normalisation" in n for n in compare_table(["exp/A"], "test").notes)
    for path in Path("exp/B").glob("seed1/fold*/main/run.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "speaker_norm": "offline"}))
    notes = compare_table(["exp/A", "exp/B"], "test").notes
    assert "B: speaker normalisation offline: uses all unlabelled audio" in " ".join(notes)


def test_table_of_other_tasks_with_published_numbers(recipe):
    """Columns appear where a run or a publication has them; rows are matched by the method."""
    fake = recipe(num_sessions=3, utts_per_spk=12, rich=True)
    fake.write_exp("A", seeds=(1,), folds=(1, 2, 3), skill=0.9, epochs=1)
    score_experiment("exp/A", "test", [], [])
    row = "method: {}, folds: session5, dev: none, near: fixed, tag: PAPER, cite: {}"
    lines = [
        f"{{id: a, {row.format('sap', 'Other')}, ua: 11.0}}",
        f"{{id: b, {row.format('probe', 'Nobody 2026')}, upstream: u, ua: 64.9, style_ua: 70.5}}",
    ]
    text = "corpus: fakecorpus4\nresults:\n" + "".join(f"  - {line}\n" for line in lines)
    Path("published.yaml").write_text(text)
    table = compare_table(["exp/A"], "test", reference="published.yaml")
    shown, metrics = words(table, 0), load_scored("exp/A", "test").summary["metrics"]
    for name, title in (("gender_ua", "gender UA"), ("style_ua", "style UA"), ("wer", "WER")):
        assert float(shown[title]) == pytest.approx(100 * metrics[name]["pooled"]["mean"], abs=0.01)
    assert (shown["published UA"], shown["published style UA"]) == ("64.90", "70.50")
    assert "published WA" not in shown and any("Nobody 2026 (u)" in n for n in table.notes)
    assert "gender UA" in words(compare_table(["exp/A"], "test"), 0)
    Path("published.yaml").write_text(text.replace("corpus4", "corpus6"))
    other = words(compare_table(["exp/A"], "test", reference="published.yaml"), 0)
    assert "published UA" not in other


def test_experiments_without_scores(two):
    with pytest.raises(SertlError, match="exp/nothing: no such experiment"):
        load_scored("exp/nothing", "test")
    with pytest.raises(SertlError, match=r"holds no score_dev.json; run stage 8"):
        load_scored("exp/A", "dev")


@pytest.fixture
def command(monkeypatch, capsys):
    """Call a script of sertl/bin as the shell does; returns status, output, error output."""

    monkeypatch.setattr("sertl.cli.setup_logging", lambda: None)  # pytest's handlers stay

    def call(name, *args):
        monkeypatch.setattr(sys, "argv", [name, *args])
        module = importlib.import_module(f"sertl.bin.{name}")
        status = 0
        try:
            run(module.main)
        except SystemExit as stop:
            status = stop.code
        output = capsys.readouterr()
        return status, output.out, output.err

    return call


def test_commands(two, command):
    status, out, _ = command("score", "--exp", "exp/A", "--folds", "1 2", "--seeds", "2")
    assert status == 0
    assert [line.split()[:4] for line in out.splitlines()[2:]] == [
        ["2", "1", "Ses01", "24"],
        ["2", "2", "Ses02", "24"],
    ]
    assert command("report", "--exp", "exp/B", "--command", "./run.sh")[0] == 0
    assert "UA" in Path("exp/B/RESULTS.md").read_text(encoding="utf-8")
    status, out, _ = command("compare", "exp/A", "exp/B", "--out", "table.md")
    assert status == 0
    assert "B − A" in out
    assert Path("table.md").read_text(encoding="utf-8").count("| UA |") == 1
    assert command("compare", "--table", "exp/A", "exp/B", "--by", "spk")[0] == 0
    Path("exp/rows.md").write_text("a table of before")
    status, out, _ = command("compare", "--table", *map(str, sorted(Path("exp").iterdir())))
    assert status == 0 and "rows.md" not in out
    assert command("compare", "--table", "exp/rows.md")[0] == 2
    status, _, err = command("compare", "exp/A")
    assert status == 2
    assert "expected two experiments, got 1" in err
    status, _, err = command("score", "--exp", "exp/A", "--folds", "one")
    assert status == 2
    assert "invalid numbers value: 'one'" in err


def test_a_users_error_is_one_line_and_status_1(two):
    done = subprocess.run(
        [sys.executable, "-m", "sertl.bin.score", "--exp", "exp/X"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: exp/X: no such experiment; run stage 6")
