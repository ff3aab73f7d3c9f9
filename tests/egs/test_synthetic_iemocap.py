# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The generator of IEMOCAP-shaped trees: its oddities, its counts, and that the reader agrees."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import soundfile
import yaml

from sertl.data.corpus import apply_policy, check_counts, load_corpus
from sertl.data.datadir import read_data_dir
from sertl.errors import SertlError

IEMOCAP = Path(__file__).resolve().parents[2] / "egs/iemocap"
CONF = IEMOCAP / "conf/corpus.yaml"
POLICIES = ("4class", "4class-noexc", "5class", "6class", "4class-impro", "4class-script", "raw")


def run(script, *arguments):
    command = [sys.executable, IEMOCAP / "local" / script, *arguments]
    return subprocess.run([str(x) for x in command], cwd=IEMOCAP, capture_output=True, text=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A small tree with sound, in a folder with a blank in its name."""
    pytest.importorskip("espeakng_loader")
    out = tmp_path_factory.mktemp("synthetic") / "small tree"
    done = run("make_synthetic.py", out, "--turns-per-session", "26", "--seed", "3")
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def recipe(local):
    return local("iemocap", "iemocap")


def test_it_has_every_oddity(tree):
    turns = [p.stem for p in tree.glob("Session*/sentences/wav/Ses*/Ses*.wav")]
    assert len(turns) == 5 * 26 + 1
    held = {turn.rsplit("_", 1)[0] for turn in turns}
    suffixed = {"Ses03M_impro05a", "Ses03M_impro05b", "Ses03M_impro08a", "Ses03M_impro08b"}
    assert suffixed | {"Ses05M_script01_1b"} <= held
    crossed = {(t[5], t.rsplit("_", 1)[1][0]) for t in turns}
    assert {("F", "M"), ("M", "F")} <= crossed
    labels = {p: p.read_bytes() for p in tree.glob("Session*/dialog/EmoEvaluation/Ses*.txt")}
    everything = b"".join(labels.values())
    for oddity in (b"dom  ;", b"\txxx\t", b"\toth\t", b"[5.5000", b"0.5000]", b"\r\n", b"[ "):
        assert oddity in everything, oddity
    foreign = [
        line for p, text in labels.items() for line in text.decode().splitlines()
        if line.startswith("[") and p.stem + "_" not in line
    ]  # fmt: skip
    assert len(foreign) == 1  # a turn labelled in another dialogue's file
    for folder in ("Categorical", "Attribute", "Self-evaluation"):
        assert list(tree.glob(f"Session1/dialog/EmoEvaluation/{folder}/Ses*.txt")), folder
    assert list(tree.glob("Session1/sentences/wav/*/._*.wav"))
    assert list(tree.glob("Session1/dialog/EmoEvaluation/._*.txt"))
    texts = b"".join(p.read_bytes() for p in tree.glob("Session*/dialog/transcriptions/Ses*.txt"))
    assert b"_MXX0 [" in texts and b"caf\xe9" in texts and b"M: Hello?" in texts
    assert soundfile.info(next(tree.glob("Session1/dialog/wav/*.wav"))).channels == 2


@pytest.mark.parametrize("policy", POLICIES)
def test_its_own_conf_fits(recipe, tree, policy):
    corpus = load_corpus(tree / "corpus.yaml", policy)
    kept, _ = apply_policy(corpus, recipe.read_iemocap(tree))
    assert kept
    check_counts(corpus, kept)


def test_prepare_data_runs_on_it(tree, tmp_path):
    options = ["--corpus-dir", tree, "--conf", tree / "corpus.yaml", "--out", tmp_path / "all"]
    done = run("prepare_data.py", *options, "--check-only")
    assert done.returncode == 0 and not (tmp_path / "all").exists(), done.stderr
    done = run("prepare_data.py", *options)
    assert done.returncode == 0, done.stderr
    data = read_data_dir(tmp_path / "all")
    assert {u.session for u in data.utts.values()} == {f"Session{n}" for n in range(1, 6)}
    assert len({u.spk for u in data.utts.values()}) == 10
    assert Counter((u.session, u.emo) for u in data.utts.values()).most_common()[-1][1] >= 3
    assert "as expected" in done.stderr


def test_running_again_does_nothing_and_other_sizes_are_refused(tree):
    done = run("make_synthetic.py", tree, "--turns-per-session", "26", "--seed", "3")
    assert done.returncode == 0 and "nothing to do" in done.stderr
    done = run("make_synthetic.py", tree, "--turns-per-session", "30", "--seed", "3")
    assert done.returncode == 1 and "turns_per_session: 26 -> 30" in done.stderr


def test_too_few_turns_are_refused(local, monkeypatch, tmp_path):
    local("mini", "espeak")
    script = local("iemocap", "make_synthetic")
    monkeypatch.setattr("sys.argv", ["x", str(tmp_path / "out"), "--turns-per-session", "5"])
    with pytest.raises(SertlError, match="--turns-per-session 5 is too few"):
        script.main()
    assert not (tmp_path / "out").exists()


def test_full_counts_fit_the_conf_of_the_release(local, tmp_path):
    """10,039 turns with the labels of the release's size, and empty files for audio."""
    local("mini", "rendering")
    tree = local("iemocap", "synthetic_tree")
    release = yaml.safe_load(CONF.read_text())["policies"]["raw"]["expected"]
    turns = local("iemocap", "synthetic_plan").plan(release, None, seed=1)
    tree.write_texts(tmp_path, turns)
    for turn in turns:
        path = tree.wav_path(tmp_path, turn.turn)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert len(list(tmp_path.glob("Session*/dialog/EmoEvaluation/Ses*.txt"))) == 151
    utts = local("iemocap", "iemocap").read_iemocap(tmp_path)
    assert len(utts) == 10039
    for name in POLICIES:
        corpus = load_corpus(CONF, name)
        kept, _ = apply_policy(corpus, utts)
        check_counts(corpus, kept)
        if name == "4class-impro":
            sessions = Counter(u.session for u in kept)
            assert [sessions[f"Session{n}"] for n in range(1, 6)] == [521, 530, 627, 534, 731]
        if name == "4class":
            speakers = Counter(u.spk for u in kept)
            pairs = [(speakers[f"Ses0{n}F"], speakers[f"Ses0{n}M"]) for n in range(1, 6)]
            assert pairs == [(528, 557), (481, 542), (522, 629), (528, 503), (590, 651)]
