# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""nEMO: the table and its oddities, both releases, and the real subset where it is at hand."""

import shutil
import subprocess
from pathlib import Path

import pytest

from sertl.data.corpus import check_counts, load_corpus
from sertl.data.datadir import read_data_dir
from sertl.data.prepare import prepare
from sertl.errors import SertlError

NEMO = Path(__file__).resolve().parents[2] / "egs/nemo"
HEADER = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"


@pytest.fixture
def recipe(local):
    return local("nemo", "prepare_data")


@pytest.fixture
def tree(tmp_path, write_wav):
    """A function: a corpus with these lines of data.tsv and these files in samples/."""

    def make(lines, files, header=HEADER, end="\n"):
        root = tmp_path / "nEMO"
        for name in files:
            write_wav(root / "samples" / name)
        text = end.join([header, *lines]) + end
        (root / "data.tsv").write_bytes(text.encode())
        return root

    return make


def line(stem, spk, emo, gender, text="Lubię czytać.", ext="wav"):
    return f"{stem}.{ext}\t{emo}\t{text}\tlubię czytać\t        {spk}\t{gender}\t27"


def test_the_oddities_of_the_table(recipe, tree):
    # Eight blanks before the speaker, `surprised`, a text number without zeros, a hidden file.
    lines = [
        line("EB0_surprised_10", "EB0", "surprised", "female"),
        line("WR0_neutral_2", "WR0", "neutral", "male", 'Powiedział „nie" i wyszedł.'),
    ]
    root = tree(lines, ["EB0_surprised_10.wav", "WR0_neutral_2.wav"], end="\r\n")
    (root / "samples/._WR0_neutral_2.wav").write_bytes(b"\x00\x05\x16\x07")
    utts = recipe.read_nemo(root)
    assert [(u.utt, u.spk, u.emo, u.gender, u.text) for u in utts] == [
        ("EB0-EB0_surprised_10", "EB0", "surprised", "f", "Lubię czytać."),
        ("WR0-WR0_neutral_2", "WR0", "neutral", "m", 'Powiedział „nie" i wyszedł.'),
    ]
    assert utts[0].wav == f"{root}/samples/EB0_surprised_10.wav"


def test_files_are_joined_by_stem(recipe, tree):
    """Another extension in the table than in the folder, and columns in another order."""
    header = "speaker_id\tgender\tage\tfile_id\temotion\traw_text"
    root = tree(
        ["        KD0\tfemale\t28\tKD0_fear_7.wav\tfear\tTak."], ["KD0_fear_7.flac"], header
    )
    [utt] = recipe.read_nemo(root)
    assert (utt.utt, utt.wav) == ("KD0-KD0_fear_7", f"{root}/samples/KD0_fear_7.flac")


def test_every_bad_line_is_listed(recipe, tree):
    lines = [
        line("EB0_anger_1", "EB0", "anger", "female"),
        line("EB0_anger_2", "EB0", "anger", "female"),  # no such file
        line("EB0_anger_3", "KD0", "anger", "female"),  # another speaker
        line("EB0_anger_4", "EB0", "fear", "female"),  # another emotion
        line("EB0_anger_5", "EB0", "anger", "woman"),
    ]
    root = tree(lines, [f"EB0_anger_{n}.wav" for n in (1, 3, 4, 5)])
    with pytest.raises(SertlError) as error:
        recipe.read_nemo(root)
    message = str(error.value)
    assert "4 problems" in message
    assert "data.tsv:3: EB0_anger_2: no file samples/EB0_anger_2.wav" in message
    assert "data.tsv:4: file_id 'EB0_anger_3.wav' is not <speaker>_<emotion>_<text" in message
    assert "data.tsv:5: file_id 'EB0_anger_4.wav'" in message
    assert "data.tsv:6: EB0_anger_5: gender 'woman', expected female or male" in message


def test_a_file_without_a_line_is_an_error(recipe, tree):
    root = tree(
        [line("EB0_anger_1", "EB0", "anger", "female")], ["EB0_anger_1.wav", "EB0_anger_2.wav"]
    )
    with pytest.raises(SertlError, match=r"EB0_anger_2\.wav: not in .*data\.tsv"):
        recipe.read_nemo(root)


def test_a_damaged_table_is_named(recipe, tree):
    root = tree(["EB0_anger_1.wav\tanger"], ["EB0_anger_1.wav"])
    with pytest.raises(SertlError, match=r"data\.tsv:2: expected 7 tab-separated values"):
        recipe.read_nemo(root)
    (root / "data.tsv").write_text("file_id,emotion\n")
    with pytest.raises(SertlError, match=r"data\.tsv:1: no column file_id, emotion"):
        recipe.read_nemo(root)


def test_wrong_root_says_what_was_looked_for_and_found(recipe, tmp_path):
    (tmp_path / "train-00000.parquet").touch()
    with pytest.raises(SertlError, match=r"looked for data\.tsv and samples/, found train-00000"):
        recipe.read_nemo(tmp_path)


def test_a_label_nobody_knows(recipe, tree):
    root = tree([line("EB0_surprise_1", "EB0", "surprise", "female")], ["EB0_surprise_1.wav"])
    with pytest.raises(SertlError, match=r"'surprise': 1 utterances, first EB0-EB0_surprise_1"):
        corpus = load_corpus(NEMO / "conf/corpus.yaml")
        prepare(corpus, recipe.read_nemo(root), root / "all")


def test_conf_has_the_published_totals():
    full = load_corpus(NEMO / "conf/corpus.yaml")
    assert full.policy == "full"
    assert sum(full.expected["all"].values()) == 4481
    small = load_corpus(NEMO / "conf/corpus.yaml", "nemo30")
    by_class = {label: sum(row[label] for row in small.expected.values()) for label in small.labels}
    assert by_class == {
        "anger": 252, "fear": 251, "happiness": 261, "neutral": 269, "sadness": 257,
        "surprised": 224,
    }  # fmt: skip
    assert sum(small.expected["MP0"].values()) == 106
    assert small.release != full.release and "30" in small.release


def test_the_real_subset(recipe, nemo_dir, tmp_path):
    utts = recipe.read_nemo(nemo_dir)
    with pytest.raises(SertlError, match=r"1514/4481 \(-2967\)"):
        check_counts(load_corpus(NEMO / "conf/corpus.yaml"), utts)
    prepare(load_corpus(NEMO / "conf/corpus.yaml", "nemo30"), utts, tmp_path / "all")
    data = read_data_dir(tmp_path / "all")
    assert len(data.utts) == 1514
    assert sum(u.dur_sec for u in data.utts.values()) / 3600 == pytest.approx(0.82, abs=0.005)
    assert {u.spk: u.gender for u in data.utts.values()} == {
        "EB0": "f", "IC0": "f", "KD0": "f", "MK0": "f",
        "KS0": "m", "MP0": "m", "SM0": "m", "TP0": "m", "WR0": "m",
    }  # fmt: skip
    assert not [u for u in data.utts.values() if u.spk == "MK0" and u.emo == "surprised"]


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_download_takes_the_commit_and_mends_files(tree, tmp_path):
    origin = tree([line("EB0_anger_1", "EB0", "anger", "female")], ["EB0_anger_1.wav"])
    author = ["-c", "user.name=x", "-c", "user.email=x@example.org"]

    def git(*arguments):
        command = ["git", "-C", origin, *author, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "x")
    commit = git("rev-parse", "HEAD")
    target = tmp_path / "copy of nEMO"

    def download(url):
        command = [NEMO / "local/download.sh", "--url", url, f"--commit={commit}", target]
        return subprocess.run(command, capture_output=True, text=True)

    assert download(f"file://{origin}").returncode == 0
    wav = target / "samples/EB0_anger_1.wav"
    wav.unlink()
    with open(target / "data.tsv", "a") as stream:
        stream.write("changed\n")
    done = download("file:///nowhere")  # everything is there: nothing is fetched
    assert done.returncode == 0, done.stderr
    assert wav.is_file() and "changed" not in (target / "data.tsv").read_text()
    shutil.rmtree(target)
    done = download("file:///nowhere")
    assert done.returncode == 1 and "download of file:///nowhere failed" in done.stderr
