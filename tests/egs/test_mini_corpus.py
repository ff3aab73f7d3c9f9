# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The mini corpus: repeatable, balanced, overlapping; and how its script treats a changed copy."""

import csv
import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sertl.data.corpus import load_corpus
from sertl.data.datadir import read_data_dir
from sertl.data.prepare import prepare
from sertl.errors import SertlError

pytest.importorskip("espeakng_loader")

MINI = Path(__file__).resolve().parents[2] / "egs/mini"


def download(*arguments):
    """Run local/download.sh with this Python in front of the path, as path.sh does."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [MINI / "local/download.sh", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env)


@pytest.fixture(scope="module")
def corpus_dir(tmp_path_factory):
    out = tmp_path_factory.mktemp("mini") / "mini corpus"
    done = download(out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def rows(corpus_dir):
    with open(corpus_dir / "metadata.tsv", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_the_plan_belongs_to_its_version(rows, corpus_dir, local):
    """If this fails on purpose, raise VERSION in make_corpus.py and put the new hash here."""
    digest = hashlib.sha256((corpus_dir / "metadata.tsv").read_bytes()).hexdigest()
    assert local("mini", "make_corpus").VERSION == 1
    assert digest == "dba98990e823e46690c428ce42a6ca01d833d64fc0aaecc6893f955b158d2cd5"


def test_balanced(rows):
    assert len(rows) == 320
    assert set(Counter((r["spk"], r["emotion"], r["style"]) for r in rows).values()) == {5}
    speakers = {r["spk"]: (r["gender"], r["session"]) for r in rows}
    assert speakers == {
        "1F": ("f", "session1"), "1M": ("m", "session1"), "2F": ("f", "session2"),
        "2M": ("m", "session2"), "3F": ("f", "session3"), "3M": ("m", "session3"),
        "4F": ("f", "session4"), "4M": ("m", "session4"),
    }  # fmt: skip


def test_words_and_numbers_give_no_cue(rows):
    scripted = Counter((r["text"], r["emotion"]) for r in rows if r["style"] == "scripted")
    assert len(scripted) == 5 * 4 and set(scripted.values()) == {8}
    assert len({r["text"] for r in rows if r["style"] == "improvised"}) > 100
    first = [r["emotion"] for r in rows if r["utt"].endswith("00")]
    assert len(set(first)) > 1


def test_audio_is_short_clear_and_16_khz(rows, corpus_dir):
    seconds = []
    for row in rows:
        wav, rate = soundfile.read(corpus_dir / "wav" / row["spk"] / f"{row['utt']}.wav")
        assert (rate, wav.ndim) == (16000, 1)
        assert 0.005 < np.abs(wav).max() <= 1.0, row
        seconds.append(len(wav) / rate)
    assert 0.8 < min(seconds) and max(seconds) < 4.0 and 1.5 < np.mean(seconds) < 2.0


def test_classes_overlap_but_can_be_told_apart(rows):
    """The nearest class centre in valence, arousal, dominance: right often, never always."""
    points = np.array([[float(r[x]) for x in ("valence", "arousal", "dominance")] for r in rows])
    emotions = np.array([r["emotion"] for r in rows])
    classes = sorted(set(emotions))
    centres = np.stack([points[emotions == c].mean(axis=0) for c in classes])
    nearest = np.linalg.norm(points[:, None] - centres, axis=2).argmin(axis=1)
    accuracy = np.mean(np.array(classes)[nearest] == emotions)
    assert 0.85 < accuracy < 0.99
    assert points.min() >= 1.0 and points.max() <= 5.0


def test_prosody_follows_the_emotion(local):
    """On average: anger is louder and faster than sadness, happiness higher and livelier."""
    rendering = local("mini", "rendering")
    rng = np.random.default_rng(0)
    voice = rendering.Voice("en-us+f1", "f")

    def mean(emotion):
        drawn = [rendering.render(emotion, voice, rng) for _ in range(200)]
        return np.mean([(r.rate_wpm, r.pitch, r.pitch_range, r.volume) for r in drawn], axis=0)

    ang, hap, sad = mean("ang"), mean("hap"), mean("sad")
    assert ang[0] > sad[0] and ang[3] > sad[3]
    assert hap[1] > ang[1] > sad[1] and hap[2] > max(ang[2], sad[2])


def test_prepare(local, corpus_dir, tmp_path):
    corpus = load_corpus(MINI / "conf/corpus.yaml")
    prepare(corpus, local("mini", "prepare_data").read_mini(corpus_dir), tmp_path / "all")
    data = read_data_dir(tmp_path / "all")
    assert len(data.utts) == 320 and data.labels == ["ang", "hap", "neu", "sad"]
    one = data.utts["1F-1F_s00"]
    assert (one.gender, one.session, one.style) == ("f", "session1", "scripted")
    assert one.text and len(one.vad) == 3
    for name in ("text", "utt2style", "utt2vad", "vad_range", "spk2gender", "utt2session"):
        assert (tmp_path / "all" / name).is_file()


def test_a_folder_that_is_not_the_corpus(local, tmp_path):
    with pytest.raises(SertlError, match=r"no metadata\.tsv; make the corpus with local/download"):
        local("mini", "prepare_data").read_mini(tmp_path)


def test_a_changed_copy_is_named_and_made_again_byte_for_byte(corpus_dir):
    assert "nothing to do" in download(corpus_dir).stderr
    first = (corpus_dir / "sha256sums").read_text()
    assert len(first.splitlines()) == 321  # wavs and the table
    (corpus_dir / "wav/1F/1F_i00.wav").unlink()
    with open(corpus_dir / "wav/2M/2M_s03.wav", "ab") as stream:
        stream.write(b"x")
    done = download(corpus_dir)
    assert done.returncode == 1 and "--redo" in done.stderr and "Traceback" not in done.stderr
    assert "wav/1F/1F_i00.wav is missing" in done.stderr
    assert "wav/2M/2M_s03.wav was changed" in done.stderr
    assert download("--redo", corpus_dir).returncode == 0
    assert (corpus_dir / "sha256sums").read_text() == first  # in another process


def test_options_are_explained():
    assert "Nothing is\ndownloaded" in download("--help").stdout
    done = download()
    assert done.returncode == 1 and "Usage" in done.stderr


def test_an_unknown_voice_and_a_second_synthesiser():
    """In a process of its own, as a process can have one synthesiser only."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from espeak import Espeak; from sertl.errors import SertlError\n"
        "e = Espeak()\n"
        "try: e.say('hello', 'en-us+nobody')\n"
        "except SertlError as error: print(error)\n"
        "try: Espeak()\n"
        "except RuntimeError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(MINI / "local")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "a second Espeak" in done.stdout
