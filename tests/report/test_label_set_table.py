# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Label sets against their quality and the UA: means by hand, what is left out, refusals."""

import io

import pytest
from PIL import Image

from sertl.atomic import write_json
from sertl.errors import SertlError
from sertl.report.label_set_table import load_qualities, quality_figure, quality_table
from sertl.score.pairing import load_scored
from sertl.score.scoring import score_experiment


def measured(nmi, purity, chance=0.25):
    return {"nmi": nmi, "purity": purity, "chance": chance}


@pytest.fixture
def labelled(recipe):
    """A function: a scored experiment with these label sets; NMI and purity differ by fold."""
    fake = recipe(num_sessions=3, utts_per_spk=10, rich=False)

    def make(tag, sets, skill=0.6, seeds=(1,), other=None):
        exp = fake.write_exp(tag, seeds=seeds, folds=(1, 2, 3), skill=skill)
        for seed in seeds:
            for fold in (1, 2, 3):
                quality = {
                    f"layer{layer}_k{k}": {
                        "train": {
                            "perplexity": 10.0 * fold,
                            "emotion": measured(0.1 * layer + 0.01 * fold, 0.5 + 0.01 * fold),
                            "gender": measured(0.3, 0.8, 0.5),
                        },
                        "dev": {
                            "perplexity": 7.0,
                            "emotion": measured(0.05, 0.4),
                            "gender": measured(0.0, 1.0, 1.0),  # one speaker: says nothing
                        },
                    }
                    for layer, k in sets
                }
                named = [{"layer": layer, "clusters": k} for layer, k in sets]
                if other and fold == 3:
                    named = other
                write_json(
                    exp / f"seed{seed}/fold{fold}/pseudo_labels/run.json",
                    {"label_sets": named, "quality": quality},
                )
        score_experiment(exp, "test", [], [])
        return exp

    return make


def test_means_over_folds_by_layer_and_k(labelled):
    exps = [
        labelled("b", [(4, 64)], skill=0.9),
        labelled("all", [(2, 8), (4, 8)], skill=0.7),
        labelled("a", [(2, 64)], seeds=(1, 2)),
    ]
    table = quality_table([q for exp in exps for q in load_qualities(exp)])
    assert table.caption == "test set, 60 utterances, 3 of 3 folds"
    head = ["layer", "clusters", "experiment"]
    assert [row[:3] for row in table.rows] == [
        ["2", "8", "all"],
        ["2", "64", "a"],
        ["4", "8", "all"],
        ["4", "64", "b"],
    ]
    assert table.header[:3] == head
    row = dict(zip(table.header, table.rows[1], strict=True))
    assert row["perplexity"] == "20.0"  # folds 10, 20, 30
    assert row["NMI emotion, train"] == "0.220"
    assert row["NMI emotion, dev"] == "0.050"
    assert row["NMI gender, train"] == "0.300"
    assert "NMI gender, dev" not in row
    assert row["purity emotion, train (chance)"] == "0.520 (0.250)"
    ua = load_scored(exps[2], "test").summary["metrics"]["ua"]["pooled"]["mean"]
    assert row["UA"] == f"{100 * ua:.2f}"
    assert dict(zip(table.header, table.rows[0], strict=True))["UA"] == "–"
    assert any("all, with all of its 2 label sets: UA" in note for note in table.notes)


def test_an_experiment_without_labels_comes_first(labelled, recipe):
    exp = labelled("a", [(2, 64)])
    reference = load_scored(labelled("none", [], skill=0.9), "test")
    table = quality_table(load_qualities(exp), reference)
    ua = reference.summary["metrics"]["ua"]["pooled"]["mean"]
    first = table.rows[0]
    assert first[2] == "none" and first[-2] == f"{100 * ua:.2f}" and " to " in first[-1]
    assert {word for i, word in enumerate(first[:-2]) if i != 2} == {"–"}
    assert [row[2] for row in table.rows] == ["none", "a"]
    with_level, without = (quality_figure(load_qualities(exp), r) for r in (reference, None))
    assert with_level != without


def test_the_figure_has_a_panel_for_each_measure(labelled):
    exps = [labelled("a", [(2, 64)]), labelled("b", [(4, 64)])]
    png = quality_figure([q for exp in exps for q in load_qualities(exp)])
    image = Image.open(io.BytesIO(png))
    assert image.width > 1000 and image.height > 600  # four panels in two lines of three
    assert quality_figure(load_qualities(labelled("all", [(2, 8), (4, 8)])))  # no UA to show


def test_refusals(labelled, recipe):
    exp = labelled("a", [(2, 64)])
    (exp / "seed1/fold2/pseudo_labels/run.json").unlink()
    with pytest.raises(SertlError, match="seed1/fold2/pseudo_labels is missing; run stage 5"):
        load_qualities(exp)
    with pytest.raises(SertlError, match="fold3.*other label sets"):
        load_qualities(labelled("b", [(2, 64)], other=[{"layer": 3, "clusters": 64}]))


def test_experiments_on_other_folds_are_refused(labelled):
    whole, part = labelled("a", [(2, 64)]), labelled("b", [(3, 64)])
    (part / "seed1/fold3/score_test.json").unlink()
    with pytest.raises(SertlError, match="not comparable: other folds"):
        quality_table([*load_qualities(whole), *load_qualities(part)])
    with pytest.raises(SertlError, match="not comparable: other folds"):
        quality_table(load_qualities(whole), load_scored(part, "test"))
