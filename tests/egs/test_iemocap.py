# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""IEMOCAP: a tree written out by hand from the corpus's documentation, with its oddities."""

import shutil
from pathlib import Path

import pytest

from sertl.data.corpus import apply_policy, check_counts, load_corpus
from sertl.data.datadir import read_data_dir
from sertl.data.prepare import prepare
from sertl.errors import SertlError

CONF = Path(__file__).resolve().parents[2] / "egs/iemocap/conf/corpus.yaml"

HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
VOTES = "C-E2:\tNeutral state;\t()\nA-E3:\tval 2; act 4; dom  3;\t()\nA-M1:\tval 2; dom  ;\t()\n\n"
LABELS = {  # dialogue -> summary lines; votes and a header are put around them
    "Ses01F_impro01": [
        "[101.2000 - 103.8500]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]",
        "[104.0000 - 105.0000]\tSes01F_impro01_M000\tfru\t[2.0000, 3.5000, 3.0000]",
        # stands in the wrong file: the id counts
        "[106.0000 - 107.0000]\tSes01M_script01_1_F003\thap\t[4.0000, 3.5000, 0.5000]",
    ],
    "Ses01M_script01_1": ["[1.0000-2.0000 ]\tSes01M_script01_1_M001\texc\t[5.5000,4.0,  3.0000 ]"],
    "Ses02F_script02_2": ["[1.0000 - 2.00]\tSes02F_script02_2_F010\txxx\t[3.0000, 3.0000, 3.0000]"],
    "Ses03M_impro05a": ["[1.0000 - 2.0000]\tSes03M_impro05a_F012\tsad\t[1.5000, 2.0000, 2.0000]"],
    "Ses03M_impro08b": ["[1.0000 - 2.0000]\tSes03M_impro08b_M007\tsur\t[3.0000, 4.0000, 3.0000]"],
    "Ses04F_impro02": ["[1.0000 - 2.0000]\tSes04F_impro02_M001\tang\t[2.0000, 4.0000, 4.0000]"],
    "Ses05M_script01_1b": ["[1.0000 - 2.0000]\tSes05M_script01_1b_F002\tang\t[2.0, 4, 4.3333]"],
}  # fmt: skip
TEXTS = {
    "Ses01F_impro01": [
        "M: Who is it?",
        "F:",
        "Ses01F_impro01_F000 [101.2000-103.8500]: It's [LAUGHTER] me.",
        "Ses01F_impro01_MXX0 [103.9000-103.9500]: Hm.",
        "Ses01F_impro01_M000 [104.0000-105.0000]: Late,\x85   as always.",
        "Ses01M_script01_1_F003 [106.0000-107.0000]: Yes!",
    ],
    "Ses01M_script01_1": ["Ses01M_script01_1_M001 [001.0000-002.0000]: The café is open."],
    "Ses02F_script02_2": ["Ses02F_script02_2_F010 [001.0000-002.0000]: What?"],
    "Ses03M_impro05a": ["Ses03M_impro05a_F012 [001.0000-002.0000]: No more."],
    "Ses03M_impro08b": ["Ses03M_impro08b_M007 [001.0000-002.0000]: Oh."],
    "Ses04F_impro02": ["Ses04F_impro02_M001 [001.0000-002.0000]: Stop."],
    "Ses05M_script01_1b": ["Ses05M_script01_1b_F002 [001.0000-002.0000]: Go."],
}


@pytest.fixture
def recipe(local):
    return local("iemocap", "iemocap")


@pytest.fixture
def root(tmp_path, write_wav):
    """The tree; turns of another dialogue than the file's have their wav where the id says."""
    root = tmp_path / "IEMOCAP full release"
    for dialog, lines in LABELS.items():
        session = root / f"Session{dialog[4]}"
        evaluation = session / "dialog/EmoEvaluation"
        (evaluation / "Categorical").mkdir(parents=True, exist_ok=True)
        text = HEADER + "".join(f"{line}\n{VOTES}" for line in lines)
        if dialog.startswith("Ses03"):
            text = text.replace("\n", "\r\n")
        (evaluation / f"{dialog}.txt").write_bytes(text.encode())
        (evaluation / f"._{dialog}.txt").write_bytes(b"\x00\x05\x16\x07[1.0 - 2.0]\xff")
        decoy = text.replace("\tneu\t", "\tfru\t")  # one evaluator's opinion in the same form
        (evaluation / "Categorical" / f"{dialog}_e2_cat.txt").write_text(decoy)
        transcripts = session / "dialog/transcriptions"
        transcripts.mkdir(exist_ok=True)
        (transcripts / f"{dialog}.txt").write_bytes("\n".join(TEXTS[dialog]).encode("latin-1"))
        write_wav(session / "dialog/wav" / f"{dialog}.wav", channels=2)
        for line in lines:
            write_wav(wav_of(root, line.split("\t")[1]))
    write_wav(wav_of(root, "Ses02F_script02_2_M099"))  # no label line
    wavs = root / "Session1/sentences/wav/Ses01F_impro01"
    (wavs / "._Ses01F_impro01_F000.wav").write_bytes(b"\x00\x05\x16\x07")
    (wavs / ".DS_Store").write_bytes(b"\x00")
    (root / ".DS_Store").write_bytes(b"\x00")
    return root


def wav_of(root, turn):
    return root / f"Session{turn[4]}/sentences/wav/{turn.rsplit('_', 1)[0]}/{turn}.wav"


def test_every_turn_is_read_right(recipe, root, caplog):
    utts = {u.utt: u for u in recipe.read_iemocap(root)}
    found = {u.utt: (u.spk, u.gender, u.session, u.style, u.emo) for u in utts.values()}
    assert found == {
        "Ses01F-Ses01F_impro01_F000": ("Ses01F", "f", "Session1", "improvised", "neu"),
        # a male turn in a dialogue whose markers the actress wore
        "Ses01M-Ses01F_impro01_M000": ("Ses01M", "m", "Session1", "improvised", "fru"),
        "Ses01F-Ses01M_script01_1_F003": ("Ses01F", "f", "Session1", "scripted", "hap"),
        "Ses01M-Ses01M_script01_1_M001": ("Ses01M", "m", "Session1", "scripted", "exc"),
        "Ses02F-Ses02F_script02_2_F010": ("Ses02F", "f", "Session2", "scripted", "xxx"),
        "Ses02M-Ses02F_script02_2_M099": ("Ses02M", "m", "Session2", "scripted", None),
        "Ses03F-Ses03M_impro05a_F012": ("Ses03F", "f", "Session3", "improvised", "sad"),
        "Ses03M-Ses03M_impro08b_M007": ("Ses03M", "m", "Session3", "improvised", "sur"),
        "Ses04M-Ses04F_impro02_M001": ("Ses04M", "m", "Session4", "improvised", "ang"),
        "Ses05F-Ses05M_script01_1b_F002": ("Ses05F", "f", "Session5", "scripted", "ang"),
    }
    # Valence, activation, dominance in this order, and as they are where outside 1..5.
    assert utts["Ses01M-Ses01F_impro01_M000"].vad == (2.0, 3.5, 3.0)
    assert utts["Ses01M-Ses01M_script01_1_M001"].vad == (5.5, 4.0, 3.0)
    assert utts["Ses01F-Ses01M_script01_1_F003"].vad == (4.0, 3.5, 0.5)
    assert utts["Ses05F-Ses05M_script01_1b_F002"].vad == (2.0, 4.0, 4.3333)
    texts = {u.utt.split("-")[1]: u.text for u in utts.values()}
    assert texts["Ses01F_impro01_F000"] == "It's [LAUGHTER] me."
    assert texts["Ses01F_impro01_M000"] == "Late, as always."
    assert texts["Ses01M_script01_1_M001"] == "The café is open."  # Latin-1 in the file
    assert "1 wavs without a label line, not used: Ses02F_script02_2_M099" in caplog.text


def test_the_data_directory(recipe, root, tmp_path, caplog):
    with caplog.at_level("INFO"):
        prepare(load_corpus(CONF), recipe.read_iemocap(root), tmp_path / "all", allow_subset=True)
    data = read_data_dir(tmp_path / "all")
    assert {utt: u.emo for utt, u in data.utts.items()} == {
        "Ses01F-Ses01F_impro01_F000": "neu",
        "Ses01F-Ses01M_script01_1_F003": "hap",
        "Ses01M-Ses01M_script01_1_M001": "hap",  # exc
        "Ses03F-Ses03M_impro05a_F012": "sad",
        "Ses04M-Ses04F_impro02_M001": "ang",
        "Ses05F-Ses05M_script01_1b_F002": "ang",
    }
    assert data.labels == ["ang", "hap", "neu", "sad"]
    assert data.vad_range == (1.0, 5.0)
    assert str(root) in data.utts["Ses04M-Ses04F_impro02_M001"].wav  # blanks in the path
    for line in (
        "10 found, 9 labelled, 6 kept, 4 dropped",
        "dropped 1: label xxx",
        "dropped 1: no label",
        "2 have valence, arousal or dominance outside",
    ):
        assert line in caplog.text


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("4class", {"neu": 1, "hap": 2, "sad": 1, "ang": 2}),
        ("4class-noexc", {"neu": 1, "hap": 1, "sad": 1, "ang": 2}),
        ("5class", {"neu": 1, "hap": 2, "sad": 1, "ang": 2, "fru": 1}),
        ("6class", {"neu": 1, "hap": 1, "exc": 1, "sad": 1, "ang": 2, "fru": 1}),
        ("4class-impro", {"neu": 1, "sad": 1, "ang": 1}),
        ("4class-script", {"hap": 2, "ang": 1}),
    ],
)
def test_label_policies(recipe, root, policy, kept):
    corpus = load_corpus(CONF, policy)
    utts, _ = apply_policy(corpus, recipe.read_iemocap(root))
    found = [u.emo for u in utts]
    assert {label: found.count(label) for label in set(found)} == kept


@pytest.mark.parametrize(
    ("policy", "total"),
    [("4class", 5531), ("4class-noexc", 4490), ("5class", 7380), ("6class", 7380),
     ("4class-impro", 2943), ("4class-script", 2588), ("raw", 10039)],
)  # fmt: skip
def test_conf_has_the_published_totals(policy, total):
    expected = load_corpus(CONF, policy).expected
    assert sum(sum(counts.values()) for counts in expected.values()) == total
    by_session = {
        "4class": [1085, 1023, 1151, 1031, 1241],
        "4class-noexc": [942, 813, 1000, 793, 942],
        "5class": [1365, 1348, 1533, 1512, 1622],
        "6class": [1365, 1348, 1533, 1512, 1622],
        "raw": [1819, 1811, 2136, 2103, 2170],
    }
    if policy in by_session:
        assert [sum(expected[f"Session{n}"].values()) for n in range(1, 6)] == by_session[policy]


def test_counts_that_differ_are_shown_as_a_table(recipe, root):
    corpus = load_corpus(CONF)
    utts, _ = apply_policy(corpus, recipe.read_iemocap(root))
    with pytest.raises(SertlError) as error:
        check_counts(corpus, utts)
    message = str(error.value)
    assert "policy 4class: counts differ" in message and "--allow-subset" in message
    assert "1/384 (-383)" in message  # session 1, neutral
    assert "6/5531 (-5525)" in message


def test_labels_without_wav_are_all_listed(recipe, root, caplog):
    gone = ["Ses01F_impro01_F000", "Ses05M_script01_1b_F002"]
    for turn in gone:
        wav_of(root, turn).unlink()
    with pytest.raises(SertlError) as error:
        recipe.read_iemocap(root)
    message = str(error.value)
    assert "2 problems" in message and "--allow-subset" in message
    assert "EmoEvaluation/Ses01F_impro01.txt:3: no wav for Ses01F_impro01_F000" in message
    assert "no wav for Ses05M_script01_1b_F002" in message
    ids = {u.utt.split("-")[1] for u in recipe.read_iemocap(root, allow_subset=True)}
    assert len(ids) == 8 and not ids & set(gone)
    assert "no wav for Ses01F_impro01_F000" in caplog.text  # dropped, but not in silence


def test_malformed_and_repeated_lines_are_all_listed(recipe, root):
    path = root / "Session4/dialog/EmoEvaluation/Ses04F_impro02.txt"
    with open(path, "a") as stream:
        stream.write("[1.0 - 2.0]\tSes04F_impro02_M001\tneu\t[3.0, 3.0, 3.0]\n")
        stream.write("[1.0 - 2.0]\tSes04F_impro02_M002\tneu\t[3.0, 3.0]\n")
        stream.write("[1.0 - 2.0]\tSes09F_impro02_M003\tneu\t[3.0, 3.0, 3.0]\n")
    with pytest.raises(SertlError) as error:
        recipe.read_iemocap(root)
    message = str(error.value)
    assert "3 problems" in message
    assert f"{path}:8: Ses04F_impro02_M001 is labelled already in {path}:3" in message
    assert f"{path}:9: expected" in message and "[3.0, 3.0]" in message
    assert f"{path}:10: expected" in message and "Ses09F_impro02_M003" in message


def test_a_code_nobody_knows(recipe, root):
    path = root / "Session4/dialog/EmoEvaluation/Ses04F_impro02.txt"
    path.write_text(path.read_text().replace("\tang\t", "\tagn\t"))
    with pytest.raises(SertlError, match=r"'agn': 1 utterances, first Ses04M-Ses04F_impro02_M001"):
        apply_policy(load_corpus(CONF), recipe.read_iemocap(root))


def test_a_turn_without_transcript_and_an_odd_line_are_reported(recipe, root, caplog):
    path = root / "Session4/dialog/transcriptions/Ses04F_impro02.txt"
    path.write_text("Ses04F_impro02_M001 Stop.\n")
    utts = {u.utt: u for u in recipe.read_iemocap(root)}
    assert utts["Ses04M-Ses04F_impro02_M001"].text is None
    assert f"{path}:1: 'Ses04F_impro02_M001 Stop.'" in caplog.text
    assert "1 labelled turns without a transcript: Ses04F_impro02_M001" in caplog.text


def test_an_upper_case_wav_and_one_that_is_no_turn(recipe, root, caplog):
    wav = wav_of(root, "Ses04F_impro02_M001")
    shutil.copy(wav, wav.with_name("Ses04F_impro02_M001 copy.wav"))
    wav.rename(wav.with_suffix(".WAV"))
    utts = {u.utt: u for u in recipe.read_iemocap(root)}
    assert utts["Ses04M-Ses04F_impro02_M001"].wav.endswith("M001.WAV")
    assert "name is no turn id, not used: Ses04F_impro02_M001 copy" in caplog.text


@pytest.mark.parametrize(
    ("change", "given", "message"),
    [
        (None, "nowhere", "no such folder; expected the IEMOCAP release"),
        (None, "IEMOCAP full release/Session2", "This is one session; give the folder above it"),
        (None, ".", r"found IEMOCAP full release\.\nDid you mean .*/IEMOCAP full release\?"),
        (None, "IEMOCAP full release/Session2/dialog", "This is a part of one session; give"),
        ("Session4", "IEMOCAP full release", r"missing Session4; found Session1.*\n.*--allow-sub"),
        ("Session4/sentences", "IEMOCAP full release", "lacks folders .*\n .*Session4/sentences/w"),
    ],
)
def test_a_wrong_root_is_explained(recipe, root, change, given, message):
    if change:
        shutil.rmtree(root / change)
    with pytest.raises(SertlError, match=message):
        recipe.read_iemocap(root.parent / given)


def test_an_archive_that_was_not_unpacked(recipe, tmp_path):
    (tmp_path / "IEMOCAP_full_release_withoutVideos.tar.gz").touch()
    with pytest.raises(SertlError, match="Unpack IEMOCAP_full_release_withoutVideos.tar.gz first"):
        recipe.read_iemocap(tmp_path)


def test_a_missing_session_is_a_subset(recipe, root):
    shutil.rmtree(root / "Session4")
    sessions = {u.session for u in recipe.read_iemocap(root, allow_subset=True)}
    assert sessions == {"Session1", "Session2", "Session3", "Session5"}
