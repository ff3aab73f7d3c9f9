# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The benchmark's table, heat map and command, and the script's cells that cannot be run."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from sertl.bin import benchmark
from sertl.score.scoring import score_experiment

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cells(recipe, tmp_path):
    """Two encoders on two corpora; one cell was not run."""
    fake = recipe(num_sessions=3, utts_per_spk=12, rich=False)
    for tag, skill in (("A", 0.4), ("B", 0.9)):
        fake.write_exp(tag, seeds=(1,), folds=(1, 2, 3), skill=skill, epochs=1)
        score_experiment(f"exp/{tag}", "test", [], [])
    lines = [
        f"fake\tsmall\tlinear\t{fake.root}/exp/A\t",
        f"other\tsmall\tlinear\t{fake.root}/exp/A\t",
        f"fake\tlarge\tlinear\t{fake.root}/exp/B\t",
        f"other\tlarge\tlinear\t{fake.root}/exp/C\tno corpus /nowhere",
    ]
    path = tmp_path / "cells.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_table_and_heat_map(cells, tmp_path, monkeypatch, capsys):
    reference = tmp_path / "reference.yaml"
    reference.write_text(
        "corpus: fakecorpus4\nresults:\n  - {id: x, method: probe, upstream: large, "
        'folds: unknown, dev: test, near: "-", ua: 71.25, tag: CODE, cite: somebody}\n'
    )
    words = ["benchmark", str(cells), "--out", str(tmp_path / "out"), "--reference", str(reference)]
    monkeypatch.setattr(sys, "argv", words)
    benchmark.main()
    text = (tmp_path / "out/RESULTS.md").read_text()
    small, large = (line for line in text.splitlines() if line.startswith(("| small", "| large")))
    numbers = [word.split(" (")[0].strip() for word in small.split("|")[3:6]]
    assert numbers[0] == numbers[1] == numbers[2]  # the mean of two equal columns
    assert large.split("|")[4].strip() == large.split("|")[5].strip() == "–"
    assert "other, large, linear: not run, no corpus /nowhere" in text
    assert "| fakecorpus4 | large | probe | 71.25 | – | – | unknown | test | somebody |" in text
    assert "| fake | 4 | 72 | 6 | 3 of 3 |" in text
    assert Image.open(tmp_path / "out/heat_map.png").width > 300
    assert "not run" in capsys.readouterr().out


def test_cells_that_lack_something_are_named_and_skipped(tmp_path):
    """The script runs nothing here: no corpus, no checkpoint."""
    script = [str(ROOT / "tools/tables/benchmark.sh"), "--out", str(tmp_path / "out")]
    encoders = ["wavlm_large=/no", "w2v_bert_2", "fbank"]
    done = subprocess.run(
        [*script, "--corpora", "emodb=/nowhere", "--encoders", *encoders],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cells = (tmp_path / "out/cells.tsv").read_text().splitlines()
    assert len(cells) == 6 and all(line.endswith("no corpus /nowhere") for line in cells)
    (tmp_path / "corpus").mkdir()
    done = subprocess.run(
        [*script, "--corpora", "emodb=corpus", "--encoders", "wavlm_large=no", "w2v_bert_2",
         "--methods", "linear"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert "skipped, no checkpoint" in done.stderr
    assert "hf download facebook/w2v-bert-2.0" in done.stderr
    text = (tmp_path / "out/RESULTS.md").read_text()
    assert "emodb, wavlm_large, linear: not run, no checkpoint" in text
    for words in (["--encoders", "fbank"], ["--corpora", "nowhere=x", "--encoders", "fbank"]):
        done = subprocess.run([*script, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 1 and "error: --corpora" in done.stderr
