# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""make_folds and validate_data_dir as commands."""

import subprocess
import sys

import pytest

from sertl.data.datadir import Utterance, write_data_dir

CONF = """
name: toy
release: "1"
language: en
licence: CC0
cite: nobody
labels: [ang, neu]
"""


def command(name, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"sertl.bin.{name}", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


@pytest.fixture
def corpus(tmp_path):
    utts = [
        Utterance(f"{s}-{e}", s, f"{s}{e}.wav", 1.0, e, text=f"{s} {e}")
        for s in "abc"
        for e in ("ang", "neu")
    ]
    write_data_dir(tmp_path / "data/all", utts, ["ang", "neu"])
    (tmp_path / "corpus.yaml").write_text(CONF)
    return tmp_path


def test_make_folds_and_validate(corpus):
    options = ("--data", corpus / "data/all", "--conf", corpus / "corpus.yaml")
    out = ("--out", corpus / "data")
    done = command("make_folds", *options, *out)
    assert done.returncode == 0, done.stderr
    assert (corpus / "data/fold3/tokenizer/char.txt").exists()
    done = command("make_folds", *options, *out, "--protocol", "fixed")
    assert done.returncode == 1 and "protocol: loso -> fixed" in done.stderr
    assert "Traceback" not in done.stderr
    parts = [corpus / f"data/fold{k}/{part}" for k in (1, 2, 3) for part in ("train", "test")]
    done = command("validate_data_dir", *parts)
    assert done.returncode == 0 and done.stdout.count(": valid") == 6


def test_validate_lists_everything_and_fails(corpus):
    (corpus / "data/all/utt2emo").write_text("a-ang ang\na-neu joy\nb-ang\n")
    done = command("validate_data_dir", corpus / "data/all", corpus / "nowhere", "--check-audio")
    assert done.returncode == 1
    for what in ("utt2emo:2: 'a-neu' has 'joy'", "utt2emo:3", "nowhere: no such directory"):
        assert what in done.stdout
    assert done.stdout.count("no such file") == 6  # the audio
    assert "problems found" in done.stderr
