# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Tables of clips: separators, columns by name or guess, odd values, parts of files."""

import logging

import numpy as np
import pytest
import soundfile

from sertl.data.clip_table import choose_columns, read_clips, read_rows, seconds
from sertl.data.cutting import clip_of
from sertl.data.datadir import Utterance
from sertl.data.described import deal_groups, describe
from sertl.errors import SertlError


def clips(path, given=None, own=(), root=None, cut=None):
    rows = read_rows(path)
    columns = choose_columns(list(rows[0]), given or {}, str(path))
    return read_clips(rows, columns, root or path.parent, own, cut)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_what_a_line_says(tmp_path, separator, caplog):
    caplog.set_level(logging.INFO)
    lines = [
        ["file", "emotion", "speaker", "sex", "transcript", "split", "room"],
        ["a/1.wav", " very happy ", "Anna B", "Female", '"no, never"', "validation", "r1"],
        ["b/1.wav", "sad", "bert", "diverse", "", "TRAIN", "NaN"],
    ]
    path = tmp_path / "t.csv"
    path.write_text("\ufeff" + "\r\n".join(separator.join(line) for line in lines) + "\r\n")
    first, second = clips(path, own=["room"])
    assert (first.utt, first.spk, first.emo) == ("Anna_B-a-1", "Anna_B", "very_happy")
    assert (first.gender, first.text, first.part) == ("f", "no, never", "dev")
    assert first.wav == str(tmp_path / "a/1.wav") and first.own == {"room": "r1"}
    assert (second.gender, second.text, second.part) == (None, None, "train")
    assert second.own == {"room": "-"}
    assert "wav is 'file', emo is 'emotion', spk is 'speaker', gender is 'sex'" in caplog.text


def test_only_line_ends_end_lines(tmp_path):
    """U+0085 is Windows-1252's ellipsis, read as Latin-1; U+2028 comes with web text."""
    path = tmp_path / "t.csv"
    words = 'well\u0085 I\u2028 mean\x0c\x1c it\n"said"'
    quoted = words.replace('"', '""')
    path.write_text(f'file,emotion,speaker,text\r\na.wav,sad,p,"{quoted}"\r\nb.wav,sad,p,x\r\n')
    assert [u.text for u in clips(path)] == ['well I mean it "said"', "x"]


def test_absolute_paths_give_ids_below_the_folder_that_holds_all(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("path,label,spk\n/x/y/a/1.wav,s,p\n/x/y/b/1.flac,t,q\n")
    assert [u.utt for u in clips(path)] == ["p-a-1", "q-b-1"]
    path.write_text("path,label,spk\n/x/y/p-1.wav,s,p\n")
    assert [u.utt for u in clips(path)] == ["p-1"]  # the id says the speaker already


def test_columns_are_named_or_refused(tmp_path):
    names = ["file", "path", "emo", "who"]
    with pytest.raises(SertlError, match="wav may be file or path; say which: wav=file"):
        choose_columns(names, {}, "t")
    found = choose_columns(names, {"wav": "path", "spk": "who", "emo": "emo"}, "t")
    assert found == {"wav": "path", "spk": "who", "emo": "emo"}
    with pytest.raises(SertlError, match="spk: unknown column 'woh'; did you mean 'who'"):
        choose_columns(names, {"wav": "path", "spk": "woh"}, "t")
    with pytest.raises(SertlError, match="no column for emo; say which: emo=<one of a, wav>"):
        choose_columns(["a", "wav"], {}, "t")
    assert "spk" not in choose_columns(["wav", "emo", "spk"], {"spk": "-"}, "t")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a head line"),
        ("a,a\n", "two columns are called 'a'"),
        ("wav,emo\nx.wav\ny.wav,s,t\n", "2 problems"),
        ("wav,emo\n,s\n", "no path of a file"),
        ("wav,emo,split\nx.wav,s,part3\n", "part 'part3'; expected train"),
        ("wav,emo,valence\nx.wav,s,high\n", "valence 'high' is no number"),
        ("wav,emo,start\nx.wav,s,soon\n", "could not convert"),
    ],
)
def test_bad_tables_are_one_message(tmp_path, text, words):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(SertlError, match=words):
        clips(path)
    path.write_bytes(b"wav,emo\nx.wav,\xe4\n")
    with pytest.raises(SertlError, match="not UTF-8"):
        clips(path)


def test_times():
    assert seconds("1.5") == 1.5 and seconds("0 days 00:01:02.500000") == 62.5
    assert seconds("1 day 01:00:00") == 90000.0 and seconds("NaT") is None
    for wrong in ("-1", "inf", "1:2"):
        with pytest.raises(ValueError, match=r"time|convert"):
            seconds(wrong)


def test_parts_of_files_are_cut_once(tmp_path):
    ramp = np.arange(16000) / 32000
    soundfile.write(tmp_path / "long.wav", ramp, 16000, subtype="PCM_16")
    path = tmp_path / "t.csv"
    path.write_text(
        "file,start,end,emotion\n"
        "long.wav,0 days 00:00:00.25,0 days 00:00:00.5,s\nlong.wav,0.5,NaT,t\nlong.wav,0,,u\n"
    )
    first, second, whole = clips(path, cut=tmp_path / "clips")
    ids = ["long-0000250", "long-0000500", "long"]
    assert [u.spk for u in (first, second, whole)] == ids
    assert [u.utt for u in (first, second, whole)] == [f"{i}-{i}" for i in ids]
    samples, rate = soundfile.read(first.wav)
    assert rate == 16000 and len(samples) == 4000 and abs(samples[0] - ramp[4000]) < 1e-4
    assert len(soundfile.read(second.wav)[0]) == 8000
    assert whole.wav == str(tmp_path / "long.wav")
    before = (tmp_path / "clips/long-0000250.wav").stat().st_mtime_ns
    clips(path, cut=tmp_path / "clips")
    assert (tmp_path / "clips/long-0000250.wav").stat().st_mtime_ns == before
    with pytest.raises(SertlError, match="no part from 2 to 3 s; it is 1.00 s long"):
        clip_of(tmp_path / "long.wav", 2.0, 3.0, tmp_path / "clips/x.wav")


def people(counts, **more):
    return [
        Utterance(f"{spk}-{n}", spk, f"{spk}{n}.wav", 0.0, emo=("a", "b")[n % 2], **more)
        for spk, count in counts.items()
        for n in range(count)
    ]


def test_many_speakers_are_dealt_into_even_groups():
    few, note = deal_groups(people({"p": 2, "q": 2, "r": 2}))
    assert note == "" and {u.session for u in few} == {None}
    many, note = deal_groups(people({f"s{n:02d}": 1 + n for n in range(12)}))
    assert note == "12 speakers in 5 groups of about equal size, left out in turn"
    groups = {g: [u for u in many if u.session == g] for g in {u.session for u in many}}
    assert len(groups) == 5 and max(map(len, groups.values())) <= 1.3 * 78 / 5
    assert len({(u.spk, u.session) for u in many}) == 12
    with pytest.raises(SertlError, match="2 speakers in 2 groups"):
        deal_groups(people({"p": 2, "q": 2}))


def test_descriptions():
    conf, _ = describe(people({"p": 4, "q": 4, "r": 4}), "n", "r", merge={"b": "c"})
    assert (conf["labels"], conf["protocol"], conf["group_by"]) == (["a", "c"], "loso", "spk")
    assert conf["expected"] == {"all": {"a": 6, "c": 6}}
    with pytest.raises(SertlError, match="label 'z' does not occur; there are a, b"):
        describe(people({"p": 4}), "n", "r", drop=["z"])
    with pytest.raises(SertlError, match="1 classes; expected two"):
        describe(people({"p": 4}), "n", "r", drop=["a"])


def test_parts_of_the_table_are_the_folds():
    train = people({"p": 20, "q": 4, "r": 20}, part="train")
    conf, utts = describe([*train, *people({"s": 4}, part="test")], "n", "r")
    assert conf["protocol"] == "official" and not conf["shared_speakers"]
    assert {u.spk for u in utts if u.part == "dev"} == {"q"}  # the smallest, a tenth
    assert "no dev part" in conf["notes"]
    shared = [*people({"p": 2, "q": 2}, part="train"), *people({"p": 2, "x": 2}, part="test")]
    conf, _ = describe([*shared, *people({"y": 2}, part="dev")], "n", "r")
    assert conf["shared_speakers"] and "1 speakers are in two parts" in conf["notes"]
