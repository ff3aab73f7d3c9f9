# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""GMP-TL through run.sh: the training stages of one fold on a tiny HuBERT."""

import json
import subprocess

import pytest
import torch

from sertl.report.diagnostics import diagnostic_elements
from sertl.report.elements import Figure
from sertl.report.tables import Table
from sertl.runs import find_runs
from sertl.score.records import read_phases
from sertl.train import checkpoint
from sertl.upstream.tiny import save_hubert

SMALL = (
    "optim_conf.epochs=1", "data_conf.crop_sec=1.0", "data_conf.share=0.3",
    "select_conf.lambdas=[0,1]", "pseudo_labels.layers=[1,3]",
    "pseudo_labels.clusters=[8,4096]", "pseudo_labels.restarts=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def mini(recipe):
    run = recipe("mini")
    ckpt = run.folder / "../hubert.pt"
    torch.manual_seed(0)
    save_hubert(ckpt)
    options = ("--upstream", "tiny_hubert", "--ckpt", str(ckpt), "--method", "gmp_tl")
    options += ("--speaker-norm", "online")  # of the phases with heads; `frames` has none
    stages = ("--stop-stage", "6", "--folds", "1", "--tag", "gmp")
    return run, run(*options, *stages, "--set", *SMALL)


def test_every_stage_ran_and_the_report_finds_it(mini):
    run, done = mini
    fold = run.folder / "exp/gmp/seed1/fold1"
    assert "Stage 4: train the teacher" in done.stderr and "Stage 5: cluster" in done.stderr
    for phase in ("teacher", "pseudo_labels", "frames", "main"):
        assert json.loads((fold / phase / "fingerprint.json").read_text())["state"] == "done"
    assert "K = 4096 is dropped" in (fold / "pseudo_labels.log").read_text()
    assert "'dropped'" in (fold / "train.log").read_text()
    phases = read_phases(run.folder / "exp/gmp", find_runs(run.folder / "exp/gmp"))
    assert list(phases) == ["teacher", "pseudo_labels", "frames", "main"]
    for phase in ("teacher", "main"):
        assert checkpoint.load(fold / phase / "best.pt")["speaker_norm"]["mode"] == "online"
    assert checkpoint.load(fold / "frames/best.pt")["speaker_norm"] is None
    elements = diagnostic_elements(phases)
    assert [e.name for e in elements if isinstance(e, Figure)] == [
        "diagnostics_pseudo_labels_seed1_fold1_2",
        "diagnostics_pseudo_labels_seed1_fold1_3",
    ]
    assert any(isinstance(e, Table) and e.rows[0][0] == "layer1_k8" for e in elements)


def test_another_experiment_takes_over_what_is_the_same(mini):
    """tools/tables share: a linked teacher and labels count as made, trained once."""
    run, _ = mini
    shell = ". ../../tools/tables/rows.sh; share gmp ce teacher pseudo_labels"
    subprocess.run(["bash", "-euc", shell], cwd=run.folder, check=True)
    done = run(
        *("--upstream", "tiny_hubert", "--ckpt", str(run.folder / "../hubert.pt")),
        *("--speaker-norm", "online", "--method", "gmp_tl/ce"),
        *("--stage", "4", "--stop-stage", "5", "--folds", "1"),
        *("--tag", "ce", "--set", *SMALL),
    )
    assert "Stage 5: cluster" in done.stderr
    fold = run.folder / "exp/ce/seed1/fold1"
    assert "already trained" in (fold / "teacher.log").read_text()
    assert "labels are there already" in (fold / "pseudo_labels.log").read_text()
