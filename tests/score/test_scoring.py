# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 8: what it reads, what it writes, and everything that can be wrong with its input."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from sertl import fingerprint
from sertl.data.datadir import read_data_dir, write_table
from sertl.errors import SertlError
from sertl.score.decoded import read_decoded
from sertl.score.records import read_score, sealed
from sertl.score.scoring import score, score_experiment

DECODE = "exp/wavlm_probe/seed1/fold1/decode_test"


@pytest.fixture
def small(recipe):
    """Two folds of four utterances a speaker, one seed, scored from the recipe's folder."""
    fake = recipe(num_sessions=3, utts_per_spk=4)
    fake.write_exp(seeds=(1,), folds=(1, 2), epochs=2)
    return fake


def rewrite(name, change):
    """Apply change to the lines of a file in the decode folder."""
    with open(f"{DECODE}/{name}", encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    with open(f"{DECODE}/{name}", "w", encoding="utf-8") as stream:
        stream.write("".join(line + "\n" for line in change(lines)))


def test_scores_by_hand(small):
    data = read_data_dir("data/fold1/test")
    utts = list(data.utts.values())
    assert len(utts) == 8
    right = {u.utt for u in utts[:6]}  # the last two get a wrong label

    def labels(lines):
        return [
            f"{u.utt} {u.emo if u.utt in right else ('ang' if u.emo != 'ang' else 'hap')}"
            for u in utts
        ]

    rewrite("hyp_emo", labels)
    rewrite("hyp_gender", lambda lines: [f"{u.utt} f" for u in utts])
    rewrite("hyp_vad", lambda lines: [f"{u.utt} {u.vad[0]} {u.vad[1] + 1} 3" for u in utts])
    rewrite("hyp_text", lambda lines: [f"{u.utt} {u.text.lower()}, [COUGH]" for u in utts])
    found = score(read_decoded(DECODE))

    counts = {label: [u.emo for u in utts].count(label) for label in data.labels}
    missed = {label: [u.emo for u in utts[6:]].count(label) for label in data.labels}
    recall = {k: (counts[k] - missed[k]) / counts[k] for k in counts if counts[k]}
    assert found["emotion"]["wa"] == pytest.approx(6 / 8)
    assert found["emotion"]["ua"] == pytest.approx(sum(recall.values()) / len(recall))
    assert found["classes"]["gender"]["ua"] == 0.5  # everyone is called female: recalls 1 and 0
    assert found["vad"]["ccc"]["valence"] == pytest.approx(1)
    assert found["vad"]["rmse"]["arousal"] == pytest.approx(1)
    assert found["vad"]["ccc"]["dominance"] == pytest.approx(0)  # constant prediction
    assert found["text"]["wer"] == 0
    assert found["n"] == 8
    assert found["num_speakers"] == 2
    assert found["protocol"]["test_group"] == "Ses01"
    assert found["utts"]["utt"] == [u.utt for u in utts]
    assert found["utts"]["dur_sec"] == [u.dur_sec for u in utts]


def test_writes_score_files_and_scores_once(small, caplog):
    caplog.set_level("INFO")
    scores = score_experiment("exp/wavlm_probe", "test", [], [])
    assert [(c.seed, c.fold) for c in scores] == [(1, 1), (1, 2)]
    path = small.root / "exp/wavlm_probe/seed1/fold1/score_test.json"
    assert json.loads(path.read_text()) == sealed(scores[next(iter(scores))])
    before = path.stat().st_mtime_ns
    score_experiment("exp/wavlm_probe", "test", [], [])
    assert path.stat().st_mtime_ns == before
    assert "0 folds scored, 2 scored before" in caplog.text
    score_experiment("exp/wavlm_probe", "test", [], [], redo=True)
    assert path.stat().st_mtime_ns > before


def test_changed_predictions_are_scored_again(small, caplog):
    caplog.set_level("INFO")
    old = score_experiment("exp/wavlm_probe", "test", [1], [])
    rewrite("hyp_emo", lambda lines: [f"{line.split()[0]} ang" for line in lines])
    new = score_experiment("exp/wavlm_probe", "test", [1], [])
    assert "made from other files, scoring again" in caplog.text
    assert next(iter(new.values()))["emotion"] != next(iter(old.values()))["emotion"]


def test_an_empty_transcription_is_one_without_words(small):
    rewrite("hyp_text", lambda lines: [lines[0].split()[0], *lines[1:]])
    assert score(read_decoded(DECODE))["text"]["del"] >= 4


def test_missing_and_extra_ids_are_named(small):
    rewrite("hyp_emo", lambda lines: ["Ses09F-000 ang", *lines[1:]])
    with pytest.raises(SertlError, match="do not hold the same utterances") as error:
        score_experiment("exp/wavlm_probe", "test", [], [])
    assert "missing (1): Ses01F-000" in str(error.value)
    assert "extra (1): Ses09F-000" in str(error.value)
    assert "hyp_emo" in str(error.value)
    rewrite("hyp_emo", lambda lines: ["Ses01F-000 ang", *lines])
    with pytest.raises(SertlError, match="extra \\(1\\): Ses09F-000") as error:
        score_experiment("exp/wavlm_probe", "test", [], [])
    assert "missing" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("hyp_emo", lambda x: [x[0].split()[0] + " joy", *x[1:]], "'Ses01F-000' has the unknown "),
        ("hyp_emo", lambda x: [x[0], *x], "hyp_emo:2: repeated utterance 'Ses01F-000'"),
        ("hyp_emo", lambda x: [*x, ""], "hyp_emo:9: expected 'utt value', found ''"),
        ("hyp_gender", lambda x: [x[0].split()[0] + " x", *x[1:]], "has 'x', expected one of f m"),
        ("hyp_vad", lambda x: [x[0].split()[0] + " 1 2", *x[1:]], "has '1 2', expected three"),
        ("hyp_vad", lambda x: [x[0].split()[0] + " 1 2 nan", *x[1:]], "expected three numbers"),
        ("labels", lambda x: x[::-1], "lists the classes sad neu hap ang"),
    ],
)
def test_broken_files(small, name, change, message):
    rewrite(name, change)
    with pytest.raises(SertlError, match=message):
        score_experiment("exp/wavlm_probe", "test", [], [])


def test_unfinished_and_missing_decoding_name_the_stage(small):
    with pytest.raises(SertlError, match="exp/none: no such experiment; run stage 6"):
        score_experiment("exp/none", "test", [], [])
    with pytest.raises(SertlError, match=r"exp/wavlm_probe lacks seed1/fold3; run stage 6"):
        score_experiment("exp/wavlm_probe", "test", [3], [])
    with pytest.raises(SertlError, match="exp/wavlm_probe lacks seed7"):
        score_experiment("exp/wavlm_probe", "test", [], [7])
    fingerprint.begin(DECODE, {"made": "anew"}, redo=True)
    with pytest.raises(SertlError, match=r"decode_test is unfinished .* stage 7 \(decode\) again"):
        score_experiment("exp/wavlm_probe", "test", [], [])
    shutil.rmtree(DECODE)
    with pytest.raises(SertlError, match=r"is missing or incomplete; run stage 7 \(decode\) first"):
        score_experiment("exp/wavlm_probe", "test", [], [])


def test_other_folder_and_other_fold(small, monkeypatch, tmp_path):
    shutil.copytree("exp/wavlm_probe/seed1", "exp/wavlm_probe/seed2")
    with pytest.raises(SertlError, match=r"is of seed, fold, set \(1, 1, 'test'\)"):
        score_experiment("exp/wavlm_probe", "test", [], [2])
    monkeypatch.chdir(tmp_path)
    assert read_decoded(small.root / DECODE).data.path == small.root / "data/fold1/test"
    shutil.rmtree(small.root / "data/fold1")
    with pytest.raises(SertlError, match="names the data directory data/fold1/test, but there is"):
        read_decoded(small.root / DECODE)


def test_no_reference_for_anything(recipe):
    fake = recipe(num_sessions=3, utts_per_spk=3, rich=False)
    fake.write_exp(seeds=(1,), folds=(1,), epochs=1)
    (fake.root / DECODE / "hyp_emo").rename(fake.root / DECODE / "hyp_style")
    with pytest.raises(SertlError, match="predicts style, but data/fold1/test has no reference"):
        score_experiment("exp/wavlm_probe", "test", [], [])


def test_protocol_without_dev_set_has_nothing_to_score(recipe):
    fake = recipe(num_sessions=3, utts_per_spk=3, rich=False, protocol="fixed")
    fake.write_exp(seeds=(1,), folds=(1,), epochs=1)
    assert score_experiment("exp/wavlm_probe", "dev", [], []) == {}
    assert len(score_experiment("exp/wavlm_probe", "test", [], [])) == 1


def test_scoring_needs_no_torch():
    code = (
        "import sys, sertl.bin.score, sertl.bin.report, sertl.bin.compare;"
        "sys.exit(bool({'torch', 's3prl', 'transformers', 'kaldiio'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_further_orders_of_clips_are_scored_too(small):
    utts = list(read_data_dir("data/fold1/test").utts.values())
    rewrite("hyp_emo", lambda lines: [f"{u.utt} {u.emo}" for u in utts])
    one = score(read_decoded(DECODE))
    assert one["utts"]["hyp_orders"] == [] and one["emotion"]["wa"] == 1.0
    for number, wrong in ((2, 4), (10, 8)):  # by number, not by name
        os.mkdir(f"{DECODE}/order{number}")
        hyp = {
            u.utt: u.emo if i >= wrong else ("ang" if u.emo != "ang" else "hap")
            for i, u in enumerate(utts)
        }
        write_table(f"{DECODE}/order{number}/hyp_emo", hyp)
    found = score(read_decoded(DECODE))
    assert found["emotion"]["wa"] == pytest.approx((1 + 0.5 + 0) / 3) and found["n"] == 8
    assert [sum(a == b for a, b in zip(found["utts"]["ref"], hyp, strict=True))
            for hyp in found["utts"]["hyp_orders"]] == [4, 0]  # fmt: skip
    assert found["inputs"] != one["inputs"]
    write_table(f"{DECODE}/order2/hyp_emo", {utts[0].utt: "ang"})
    with pytest.raises(SertlError, match="order2/hyp_emo .* do not hold the same utterances"):
        read_decoded(DECODE)


def test_a_changed_score_is_noticed_and_made_again(small, caplog):
    path = small.root / "exp/wavlm_probe/seed1/fold1/score_test.json"
    first = score_experiment("exp/wavlm_probe", "test", [1], [])
    good = path.read_text()
    path.write_text(good.replace('"n": ', '"n":  ', 1))  # the same content
    assert read_score(path) == next(iter(first.values()))
    found = json.loads(good)
    found["emotion"]["ua"] += 0.25
    path.write_text(json.dumps(found))
    with pytest.raises(SertlError, match="was changed after scoring"):
        read_score(path)
    score_experiment("exp/wavlm_probe", "test", [1], [])
    assert path.read_text() == good and "was changed after scoring" in caplog.text
