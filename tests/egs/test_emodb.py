# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""EmoDB: file names read right, wrong ones refused, and the real corpus where it is at hand."""

import os
import shutil
import subprocess
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from sertl.data.corpus import check_counts, load_corpus
from sertl.data.datadir import read_data_dir
from sertl.data.prepare import prepare
from sertl.errors import SertlError

EMODB = Path(__file__).resolve().parents[2] / "egs/emodb"


@pytest.fixture
def recipe(local):
    return local("emodb", "prepare_data")


def by_id(utts):
    return {u.utt: u for u in utts}


def test_names_hold_everything(recipe, tmp_path, write_wav):
    # From the corpus's documentation: 15 is male, 16 female; A is Angst, F Freude, W Wut.
    root = tmp_path / "emo db"  # a blank in the path
    for name in ("15a04Aa.wav", "16b10Fd.WAV", "03a01Wa.wav", "08a02Nb.wav", "11b01Lb.wav"):
        write_wav(root / "wav" / name)
    (root / "wav" / "._03a01Wa.wav").write_bytes(b"\x00\x05\x16\x07")
    (root / "wav" / "erkennung.txt").write_text("not audio")
    utts = by_id(recipe.read_emodb(root))
    assert {u: (x.spk, x.emo, x.gender, x.style) for u, x in utts.items()} == {
        "03-03a01Wa": ("03", "anger", "m", "acted"),
        "08-08a02Nb": ("08", "neutral", "f", "acted"),
        "11-11b01Lb": ("11", "boredom", "m", "acted"),
        "15-15a04Aa": ("15", "fear", "m", "acted"),
        "16-16b10Fd": ("16", "happiness", "f", "acted"),
    }
    assert utts["15-15a04Aa"].text == "Heute Abend könnte ich es ihm sagen."
    assert utts["16-16b10Fd"].wav == f"{root}/wav/16b10Fd.WAV"
    assert by_id(recipe.read_emodb(root / "wav")) == utts  # either folder may be given


def test_every_letter_is_the_german_initial(recipe):
    emotions = {letter: recipe.utterance(Path(f"09a05{letter}a.wav")).emo for letter in "WLEAFTN"}
    assert emotions == {
        "W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness",
        "T": "sadness", "N": "neutral",
    }  # fmt: skip


def test_wrong_names_are_all_listed(recipe, tmp_path, write_wav):
    for name in ("03a01Xa.wav", "04a01Wa.wav", "03a03Wa.wav", "03a01Wa_2s.wav", "03a01Wa.wav"):
        write_wav(tmp_path / name)
    with pytest.raises(SertlError, match="4 problems") as error:
        recipe.read_emodb(tmp_path)
    for part in ("03a01Xa.wav: unknown emo 'X'", "04a01Wa.wav: unknown spk '04'",
                 "03a03Wa.wav: unknown text 'a03'", "03a01Wa_2s.wav: expected a name"):  # fmt: skip
        assert part in str(error.value)


def test_wrong_root_says_what_was_looked_for_and_found(recipe, tmp_path):
    with pytest.raises(SertlError, match="no such folder"):
        recipe.read_emodb(tmp_path / "nowhere")
    (tmp_path / "download.zip").touch()
    with pytest.raises(SertlError, match=r"looked for wav/03a01Fa\.wav .* found download\.zip"):
        recipe.read_emodb(tmp_path)


def test_a_missing_recording_shows_in_the_count_table(recipe, tmp_path, write_wav):
    write_wav(tmp_path / "03a01Wa.wav")
    corpus = load_corpus(EMODB / "conf/corpus.yaml")
    with pytest.raises(SertlError) as error:
        check_counts(corpus, recipe.read_emodb(tmp_path))
    assert "1/14 (-13)" in str(error.value)  # speaker 03, anger
    assert "1/535 (-534)" in str(error.value)


def test_another_rate_is_noted(recipe, tmp_path, write_wav, caplog):
    write_wav(tmp_path / "03a01Wa.wav", rate=22050, channels=2)
    corpus = load_corpus(EMODB / "conf/corpus.yaml")
    with caplog.at_level("INFO"):
        prepare(corpus, recipe.read_emodb(tmp_path), tmp_path / "all", allow_subset=True)
    assert "{22050: 1}" in caplog.text and "several channels" in caplog.text


def test_conf_has_the_published_totals():
    corpus = load_corpus(EMODB / "conf/corpus.yaml")
    totals = Counter()
    for counts in corpus.expected.values():
        totals.update(counts)
    assert totals == {
        "anger": 127, "boredom": 81, "disgust": 46, "fear": 69, "happiness": 71, "neutral": 79,
        "sadness": 62,
    }  # fmt: skip
    assert {spk: sum(counts.values()) for spk, counts in corpus.expected.items()} == {
        "03": 49, "08": 58, "09": 43, "10": 38, "11": 55, "12": 35, "13": 61, "14": 69, "15": 56,
        "16": 71,
    }  # fmt: skip


def test_the_real_corpus(recipe, emodb_dir, tmp_path):
    corpus = load_corpus(EMODB / "conf/corpus.yaml")
    prepare(corpus, recipe.read_emodb(emodb_dir), tmp_path / "all")
    data = read_data_dir(tmp_path / "all")
    assert len(data.utts) == 535
    assert data.labels[:2] == ["anger", "boredom"]
    assert sum(u.dur_sec for u in data.utts.values()) / 3600 == pytest.approx(0.41, abs=0.005)


def download(*arguments):
    return subprocess.run(
        [EMODB / "local/download.sh", *map(str, arguments)], capture_output=True, text=True
    )


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_download_resumes_and_verifies(emodb_dir, tmp_path):
    archive = tmp_path / "mirror.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for wav in sorted((emodb_dir / "wav").glob("*.wav")):
            file.write(wav, f"wav/{wav.name}")
    target = tmp_path / "emo db"
    target.mkdir()
    (target / "download.zip.part").write_bytes(archive.read_bytes()[:9_000_000])  # cut off before
    done = download("--url", f"file://{archive}", target)
    assert done.returncode == 0, done.stderr
    assert "Resuming transfer from byte position 9000000" in done.stderr
    assert len(os.listdir(target / "wav")) == 535
    archive.unlink()
    assert "complete" in download("--url", f"file://{archive}", target).stderr  # not fetched again

    changed = target / "wav/03a01Fa.wav"
    changed.write_bytes(changed.read_bytes()[:-2])
    with zipfile.ZipFile(archive, "w") as file:
        file.write(changed, "wav/03a01Fa.wav")
    done = download(f"--url=file://{archive}", target)
    assert done.returncode == 1
    assert "wav/03a01Fa.wav: FAILED" in done.stderr and "not the original release" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no folder given"),
        (["--speed", "x"], "unknown option '--speed'"),
        (["--url"], "--url needs an address"),
        (["a", "b"], "one folder expected"),
    ],
)
def test_download_options(arguments, message):
    done = download(*arguments)
    assert done.returncode == 1 and message in done.stderr
