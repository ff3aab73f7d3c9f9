# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""ESD: both layouts, the transcripts' encodings, the official split, what is left out."""

from pathlib import Path

import pytest

from sertl.data.corpus import load_corpus
from sertl.data.datadir import read_data_dir
from sertl.data.prepare import prepare
from sertl.data.split import make_folds
from sertl.errors import SertlError

ESD = Path(__file__).resolve().parents[2] / "egs/esd"


@pytest.fixture
def recipe(local):
    return local("esd", "prepare_data")


@pytest.fixture
def tree(tmp_path, write_wav):
    """A function: a corpus of these wavs and transcripts (path -> bytes)."""

    def make(wavs, texts=None):
        for name in wavs:
            write_wav(tmp_path / "ESD" / name)
        for name, content in (texts or {}).items():
            (tmp_path / "ESD" / name).write_bytes(content)
        return tmp_path / "ESD"

    return make


def test_flat_folders_are_split_by_number(recipe, tree):
    """Sentence n of each emotion: 1-20 dev, 21-50 test, 51-350 train; Angry begins at 351."""
    numbers = {1: "dev", 20: "dev", 21: "test", 50: "test", 51: "train", 350: "train"}
    numbers |= {351: "dev", 370: "dev", 371: "test", 400: "test", 401: "train", 1750: "train"}
    assert {n: recipe.official_part(n) for n in numbers} == numbers
    root = tree(["0011/Neutral/0011_000021.wav", "0011/Angry/0011_000351.wav"])
    utts = {u.utt: u for u in recipe.read_esd(root)}
    assert list(utts) == ["0011-0011_000351", "0011-0011_000021"]
    assert {u.part for u in utts.values()} == {"dev", "test"}
    angry = utts["0011-0011_000351"]
    assert (angry.spk, angry.emo, angry.gender, angry.style) == ("0011", "angry", "m", "acted")


def test_folders_of_the_parts_win(recipe, tree):
    names = ["evaluation/0015_000701", "test/0015_000702", "train/0015_000703"]
    root = tree([f"0015/Happy/{name}.wav" for name in names])
    assert [u.part for u in recipe.read_esd(root)] == ["dev", "test", "train"]


def test_the_archive_s_folder_mandarin_hidden_and_upper_case_files(recipe, tree, caplog):
    caplog.set_level("INFO")
    base = "Emotion Speech Dataset"
    root = tree([f"{base}/0016/Sad/0016_001051.WAV", f"{base}/0003/Sad/0003_001051.wav"])
    (root / base / "0016/Sad/._0016_001051.wav").write_bytes(b"\x00\x05\x16\x07")
    (root / base / "0016/.DS_Store").write_bytes(b"x")
    [utt] = recipe.read_esd(root)
    assert (utt.spk, utt.emo, utt.gender) == ("0016", "sad", "f")
    assert "Mandarin speakers left out: 0003" in caplog.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"0012_000001\tThe nine the eggs, I keep.\tNeutral\r\n", "The nine the eggs, I keep."),
        (b"0012_000001 The nine the eggs. Neutral\n", "The nine the eggs."),
        ("0012_000001\tI\u2019d go.\tNeutral\n".encode("utf-16-le"), "I\u2019d go."),
        ("0012_000001\tI\u2019d go.\tNeutral\n".encode("utf-16"), "I\u2019d go."),
        ("0012_000001\tI\u2019d go.\tNeutral\n".encode("cp1252"), "I\u2019d go."),
        ("\ufeff0012_000001\tI\u2019d go.\tNeutral\n".encode(), "I\u2019d go."),
    ],
)
def test_transcripts_in_every_encoding(recipe, tree, content, words):
    root = tree(["0012/Neutral/0012_000001.wav"], {"0012/0012.txt": content})
    assert [u.text for u in recipe.read_esd(root)] == [words]


def test_text_that_cannot_be_read_is_counted(recipe, tree, caplog):
    caplog.set_level("INFO")
    wavs = ["0012/Neutral/0012_000001.wav", "0013/Neutral/0013_000001.wav"]
    root = tree(wavs, {"0012/0012.txt": b"0012_000001\n\nsomething else\n"})
    assert [u.text for u in recipe.read_esd(root)] == [None, None]
    assert "0012.txt: 2 of 2 lines not read" in caplog.text
    assert "0013.txt: no such file" in caplog.text and "2 of 2 utterances have no" in caplog.text


def test_the_label_is_the_folder_s_whatever_the_transcript_says(recipe, tree):
    texts = {"0012/0012.txt": b"0012_000351\tHello there.\tNeutral\n"}
    [utt] = recipe.read_esd(tree(["0012/Angry/0012_000351.wav"], texts))
    assert utt.emo == "angry"


def test_files_that_cannot_be_placed_are_all_named(recipe, tree):
    wavs = ["Angry/0011_000001", "Angry/0012_000002", "Angry/x", "Bored/0012_000003"]
    wavs += ["Angry/dev/0012_000004", "0012_000005", "Angry/train/old/0012_000006"]
    with pytest.raises(SertlError) as error:
        recipe.read_esd(tree([f"0012/{name}.wav" for name in wavs]))
    message = str(error.value)
    assert "6 problems" in message and "0012_000002" not in message
    assert "0011_000001.wav: expected a name such as 0012_000351.wav" in message
    assert "found ('Bored',)" in message
    assert "expected a folder of train, evaluation, test, found dev" in message


def test_a_wrong_root_says_what_was_found(recipe, tree):
    root = tree(["0001/Sad/0001_001051.wav"])
    with pytest.raises(SertlError, match="looked for folders 0011 to 0020, found 0001"):
        recipe.read_esd(root)
    with pytest.raises(SertlError, match="found no folder"):
        recipe.read_esd(root / "nowhere")


def test_a_recording_in_both_layouts_is_refused(recipe, tree):
    root = tree(["0012/Sad/0012_001051.wav", "0012/Sad/evaluation/0012_001051.wav"])
    corpus = load_corpus(ESD / "conf/corpus.yaml")
    with pytest.raises(SertlError, match="repeated utterance ids.*\n.*0012-0012_001051"):
        prepare(corpus, recipe.read_esd(root), root / "all")


def test_policies():
    four = load_corpus(ESD / "conf/corpus.yaml")
    assert sum(sum(row.values()) for row in four.expected.values()) == 14_000
    assert (four.policy, four.drop, four.shared_speakers) == ("4class", ["surprise"], True)
    five = load_corpus(ESD / "conf/corpus.yaml", "5class")
    assert sum(sum(row.values()) for row in five.expected.values()) == 17_500


def test_surprise_is_dropped_and_the_official_split_kept(recipe, tree, caplog):
    caplog.set_level("INFO")
    first = {"Neutral": 0, "Angry": 350, "Surprise": 1400}
    root = tree(
        f"{spk}/{emo}/{spk}_{start + n:06d}.wav"
        for spk in ("0011", "0020")
        for emo, start in first.items()
        for n in (1, 21, 51)
    )
    corpus = load_corpus(ESD / "conf/corpus.yaml")
    utts = recipe.read_esd(root)
    with pytest.raises(SertlError, match=r"12/14000 \(-13988\)"):
        prepare(corpus, utts, root.parent / "all")
    prepare(corpus, utts, root.parent / "all", allow_subset=True)
    assert "dropped 6: label surprise" in caplog.text
    data = read_data_dir(root.parent / "all")
    [fold] = make_folds(data, corpus, "official")
    assert fold.dev == [
        "0011-0011_000001", "0011-0011_000351", "0020-0020_000001", "0020-0020_000351",
    ]  # fmt: skip
    assert len(fold.train) == len(fold.test) == 4
