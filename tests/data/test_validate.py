# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""One test per rule of a data directory; each problem has its file and line."""

import os

import numpy as np
import pytest
import soundfile

from sertl.data.datadir import Utterance, read_data_dir, write_data_dir
from sertl.data.validate import problems
from sertl.errors import SertlError


@pytest.fixture
def folder(tmp_path):
    """A valid directory of three utterances with every file."""
    utts = []
    for i, (utt, spk, gender) in enumerate(
        [("a-1", "a", "m"), ("a-2", "a", "m"), ("b-1", "b", "f")]
    ):
        wav = tmp_path / f"{utt}.wav"
        noise = np.random.default_rng(i).normal(0, 0.1, 800)
        soundfile.write(wav, noise, 16000)
        utts.append(
            Utterance(
                *(utt, spk, str(wav), 0.05, "neu", gender, "acted", "hello", (1.0, 2.0, 3.0)),
                *("s1", "train"),
            )
        )
    write_data_dir(tmp_path / "d", utts, ["neu", "hap"], (1, 5))
    return tmp_path / "d"


def test_valid(folder):
    assert problems(folder) == []
    assert problems(folder, check_audio=True) == []
    assert problems(folder, check_audio=True, nj=2) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("utt2emo", "a-2 neu", "a-2 Neu", "utt2emo:2: 'a-2' has 'Neu'; expected one of neu, hap"),
        ("utt2emo", "a-2 neu\n", "", "utt2emo: missing key 'a-2' (it is in wav.scp)"),
        ("utt2emo", "b-1 neu", "b-1 neu\nb-2 neu", "utt2emo:4: key 'b-2' is not in wav.scp"),
        ("text", "a-2 hello", "a-2", "text:2: key 'a-2' has no value"),
        ("utt2dur", "a-1 0.05", "a-1 0", "utt2dur:1: 'a-1' has '0'; expected a positive number"),
        ("utt2dur", "a-1 0.05", "a-1 inf", "utt2dur:1: 'a-1' has 'inf'"),
        ("utt2dur", "a-1 0.05", "a-1 1s", "utt2dur:1: 'a-1' has '1s'"),
        ("utt2vad", "a-1 1.0 2.0 3.0", "a-1 1 2", "utt2vad:1: 'a-1' has '1 2'; expected three"),
        ("utt2vad", "a-1 1.0 2.0 3.0", "a-1 1 2 nan", "utt2vad:1: 'a-1' has '1 2 nan'"),
        ("utt2style", "a-1 acted", "a-1 played", "utt2style:1: 'a-1' has 'played'; expected one"),
        ("utt2part", "a-1 train", "a-1 Train", "utt2part:1: 'a-1' has 'Train'"),
        ("utt2session", "a-1 s1", "a-1 s 1", "utt2session:1: 'a-1' has 's 1'; expected one word"),
        ("spk2gender", "b f", "b female", "spk2gender:2: 'b' has 'female'; expected one of f, m"),
        ("spk2gender", "b f\n", "", "spk2gender: missing key 'b' (it is in utt2spk)"),
        ("spk2utt", "a a-1 a-2", "a a-1", "spk2utt:1: speaker 'a' disagrees with utt2spk: a-2"),
        ("spk2utt", "a a-1 a-2", "a a-2 a-1", "spk2utt:1: speaker 'a' disagrees"),
        ("vad_range", "1 5", "5 1", "vad_range:1: expected lowest and highest"),
        ("labels", "hap", "neu", "labels:2: label 'neu' is repeated"),
    ],
)
def test_rule(folder, name, old, new, expected):
    path = folder / name
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))
    found = problems(folder)
    assert any(p.startswith(f"{folder}/{expected}") for p in found), found
    with pytest.raises(SertlError, match="not a valid data directory"):
        read_data_dir(folder)


def test_a_speaker_that_the_id_does_not_start_with(folder):
    (folder / "utt2spk").write_text("a-1 a\na-2 a\nb-1 c\n")
    (folder / "spk2utt").write_text("a a-1 a-2\nc b-1\n")
    (folder / "spk2gender").write_text("a m\nc f\n")
    assert problems(folder) == [
        f"{folder}/utt2spk:3: utterance 'b-1' does not start with its speaker and a dash, 'c-'"
    ]


def test_a_speaker_that_is_a_prefix_of_another_breaks_kaldis_order(tmp_path):
    utts = [Utterance("a-b-1", "a-b", "x", 1.0), Utterance("a-c", "a", "y", 1.0)]
    with pytest.raises(SertlError, match="speaker 'a' comes after 'a-b'"):
        write_data_dir(tmp_path / "d", utts, [])


def test_pipes_are_refused_unless_allowed_and_never_run(folder, tmp_path):
    scp = folder / "wav.scp"
    lines = scp.read_text().splitlines()
    lines[0] = f"a-1 touch {tmp_path}/executed |"
    scp.write_text("\n".join(lines) + "\n")
    (problem,) = problems(folder, check_audio=True)
    assert problem.startswith(f"{scp}:1: 'a-1' has ") and "shell pipe" in problem
    assert problems(folder, allow_pipe=True, check_audio=True) == []
    assert not (tmp_path / "executed").exists()


def test_missing_files_and_folders(folder, tmp_path):
    (folder / "utt2dur").unlink()
    (folder / "labels").unlink()
    (folder / "vad_range").unlink()
    found = "\n".join(problems(folder))
    for what in ("utt2dur: no such file", "labels: missing; utt2emo", "vad_range: missing"):
        assert what in found
    assert problems(tmp_path / "no")[0].startswith(f"{tmp_path}/no: no such directory")


def test_audio_problems_name_line_and_id(folder):
    wav = folder.parent / "a-2.wav"
    wav.write_bytes(b"")
    assert problems(folder) == []
    assert problems(folder, check_audio=True) == [
        f"{folder}/wav.scp:2: 'a-2' {wav}: an empty file (0 bytes)"
    ]


def test_all_problems_are_listed(folder):
    (folder / "utt2emo").write_bytes(b"b-1 neu\r\na-1 sad\na-2\tneu\n")
    (folder / "utt2dur").write_text("a-1 -1\na-2 x\n")
    found = problems(folder)
    assert len(found) == 7, found
    for what in ("Windows", "not sorted", "'sad'", "tab", "'-1'", "'x'", "missing key 'b-1'"):
        assert sum(what in p for p in found) == 1


@pytest.mark.parametrize(
    "name", ["wav.scp", "utt2emo", "spk2gender", "labels", "vad_range", "text"]
)
@pytest.mark.parametrize("kind", ["directory", "dangling link", "pipe"])
def test_what_is_no_file_is_a_problem_and_never_hangs(folder, name, kind):
    """A dangling link to an optional file is not a corpus without it."""
    path = folder / name
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere")
    assert any("no regular file" in problem for problem in problems(folder))
