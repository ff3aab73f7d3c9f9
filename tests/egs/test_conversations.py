# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""MELD, MSP-Podcast, MSP-Improv and CMU-MOSEI: their tables and oddities, on small trees."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from sertl.data.corpus import apply_policy, load_corpus
from sertl.errors import SertlError

EGS = Path(__file__).resolve().parents[2] / "egs"
MELD_HEAD = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode"


def labels(name, policy=None):
    return load_corpus(EGS / name / "conf/corpus.yaml", policy)


@pytest.fixture
def meld(tmp_path, write_wav):
    """A repository with a clip of each part, and the two bad rows."""
    rows = {
        "train": [
            '1,"\u201cOh, no!\u201d",Ross,Surprise,negative,0,0,8,21',
            '2,"It\u0092s, well",The Doctor,neutral,neutral,125,3,8,21',
        ],  # fmt: skip
        "dev": [
            "1,Hi\u0085 you,Rachel,joy,positive,0,0,1,1",
            "2,Bye,Rachel,joy,positive,110,7,1,1",
        ],
        "test": ["1,Hm,Gunther,neutral,neutral,0,0,1,1"],
    }
    for part, folder in (("train", "train_splits"), ("dev", "dev_splits_complete"),
                         ("test", "output_repeated_splits_test")):  # fmt: skip
        table = tmp_path / f"data/MELD/{part}_sent_emo.csv"
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text("\n".join([MELD_HEAD, *rows[part], ""]), encoding="utf-8")
        write_wav(tmp_path / folder / "dia0_utt0.wav")
        (tmp_path / folder / "._dia0_utt0.wav").write_bytes(b"\x00")
    return tmp_path


def test_meld(local, meld, caplog):
    module = local("meld", "prepare_data")
    with pytest.raises(SertlError, match=r"3 problems\n.*train_sent_emo.csv: 2 rows, released"):
        module.read_meld(meld, False)
    train, dev, test = module.read_meld(meld, True)
    assert (train.utt, train.spk, train.gender) == ("Ross-train-dia0_utt0", "Ross", "m")
    assert (train.emo, train.text) == ("surprise", '"Oh, no!"')
    assert train.own == {"sentiment": "negative"}
    assert (dev.part, dev.gender, test.gender, test.part) == ("dev", "f", None, "test")
    assert len({u.utt for u in (train, dev, test)}) == 3  # the numbers restart in each part
    kept, _ = apply_policy(labels("meld"), [train, dev, test])
    assert len(kept) == 3 and labels("meld").shared_speakers
    for wav in (meld / "dev_splits_complete").glob("dia*.wav"):
        wav.rename(wav.with_suffix(".mp4"))
    with pytest.raises(SertlError, match=r"1 films are there: local/extract_audio.sh"):
        module.read_meld(meld, True)
    with pytest.raises(SertlError, match=r"no train_sent_emo.csv in it"):
        module.read_meld(meld / "train_splits", True)


HEAD = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"


@pytest.fixture
def podcast(tmp_path, write_wav):
    rows = [
        "MSP-PODCAST_0001_0008.wav,N,4.2,4.0,4.4,127,Male,Train",
        "MSP-PODCAST_0001_0009_0002.wav,X,1.0,7.0,2.5,Unknown,Female,Validation",
        "MSP-PODCAST_0002_0001.wav,A,6.0,2.0,5.0,9,Female,Test1",
        "MSP-PODCAST_0003_0001.wav,H,6.0,2.0,5.0,11,Female,Test2",
    ]
    table = tmp_path / "Labels/labels_concensus.csv"
    table.parent.mkdir()
    table.write_text("\n".join([HEAD, *rows, ""]))
    for row in rows:
        write_wav(tmp_path / "Audio" / row.split(",")[0])
    (tmp_path / "Transcripts").mkdir()
    (tmp_path / "Transcripts/MSP-PODCAST_0001_0008.txt").write_text("well  you know\n")
    return tmp_path


def test_podcast_votes(local, podcast):
    """One line for each rater; what raters wrote themselves counts as other."""
    rows = ["a,MSP-PODCAST_0001_0008.wav,Neutral", "b,MSP-PODCAST_0001_0008.wav,Other-bored",
            "c,MSP-PODCAST_0001_0008.wav,Neutral", "d,MSP-PODCAST_0001_0008.wav,Happy"]  # fmt: skip
    detailed = podcast / "Labels/labels_detailed.csv"
    detailed.write_text("\n".join(["Worker,FileName,EmoClass_Major", *rows, ""]))
    module = local("msp_podcast", "prepare_data")
    utts = module.read_podcast(podcast, {})
    assert utts[0].votes == {"neutral": 2, "other": 1, "happy": 1} and utts[1].votes is None
    kept, _ = apply_policy(labels("msp_podcast"), utts)
    assert kept[0].votes == {"neutral": 2, "happy": 1}
    detailed.write_text("FileName,Class\nx,y\n")
    with pytest.raises(SertlError, match="no column EmoClass_Major"):
        module.read_podcast(podcast, {})


def test_podcast(local, podcast, caplog):
    caplog.set_level("INFO")
    module = local("msp_podcast", "prepare_data")
    first, second, third = module.read_podcast(podcast, {})
    assert (first.utt, first.vad) == ("spk127-MSP-PODCAST_0001_0008", (4.0, 4.2, 4.4))  # V, A, D
    assert (first.text, first.gender, first.order) == ("well you know", "m", "8.0")
    assert (second.spk, second.part, second.emo) == ("podcast0001", "dev", "no_agreement")
    assert (third.part, third.order) == ("test", "1.0") and second.order == "9.0002"
    assert "1 utterances of speakers nobody knows" in caplog.text and '"Test2": 1' in caplog.text
    assert [u.emo for u in module.read_podcast(podcast, {"test": "Test2"})][-1] == "happy"
    kept, dropped = apply_policy(labels("msp_podcast"), [first, second, third])
    assert len(kept) == 2 and dropped == {"label no_agreement": 1}
    assert len(apply_policy(labels("msp_podcast", "9class-x"), [first, second, third])[0]) == 3


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("MSP-PODCAST_0001_0008.wav", "podcast8.wav", "expected a name such as MSP-PODCAST"),
        (",N,", ",Q,", "unknown class 'Q'"),
        (",Train", ",Training", "unknown part 'Training'"),
        ("SpkrID", "Speaker", "no column SpkrID"),
    ],
)
def test_podcast_rows_that_cannot_be_read(local, podcast, old, new, words):
    table = podcast / "Labels/labels_concensus.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(SertlError, match=words):
        local("msp_podcast", "prepare_data").read_podcast(podcast, {})


def test_podcast_says_what_it_looked_for(local, podcast, tmp_path):
    module = local("msp_podcast", "prepare_data")
    with pytest.raises(SertlError, match="no labels_consensus.csv or labels_concensus.csv"):
        module.read_podcast(tmp_path / "Audio", {})
    with pytest.raises(SertlError, match="test=Test4: expected Test1, Test2, Test3"):
        module.read_podcast(podcast, {"test": "Test4"})


def test_improv(local, tmp_path, write_wav, caplog):
    module = local("msp_improv", "prepare_data")
    names = ("S01A-F01-P-FM01", "S05H-M02-R-MM03", "S20N-F06-S-FM09")
    for n, name in enumerate(names, start=1):
        write_wav(tmp_path / f"session{n}/{name[:4]}/P/MSP-IMPROV-{name}.wav", 44100)
    lines = [
        "UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.200000; V:4.100000 ; D:3.000000 ; N:1.0;",
        "rater7; Neutral; A:3; V:3; D:3;",
        "",
        "UTD-IMPROV-S05H-M02-R-MM03.avi; X; A:2; V:4;",
        "UTD-IMPROV-S20N-F06-S-FM09.avi; H; A:2.5; V:4.5; D:1.5;",
        "UTD-IMPROV-S20N-F06-S-FM10.avi; H; A:2.5; V:4.5; D:1.5;",
    ]
    (tmp_path / "Evalution.txt").write_text("\n".join(lines))
    first, second, third = module.read_improv(tmp_path)
    assert (first.spk, first.emo, first.vad) == ("F01", "neutral", (4.1, 2.2, 3.0))
    assert (first.session, first.style) == ("session1", "natural")
    assert first.own == {"kind": "P", "target": "angry"}
    assert (second.emo, second.vad, second.style) == ("no_agreement", None, "scripted")
    assert (third.session, third.style, third.gender) == ("session6", "improvised", "f")
    assert "1 lines of the evaluation file have no clip" in caplog.text
    assert sum(labels("msp_improv").expected["all"].values()) == 7798
    write_wav(tmp_path / "session1/MSP-IMPROV-S01A-F01-P-FM99.wav")
    with pytest.raises(SertlError, match=r"1 problem\n.*FM99.wav: no line in the evaluation"):
        module.read_improv(tmp_path)
    (tmp_path / "Evalution.txt").write_text("nothing\n")
    with pytest.raises(SertlError, match="no line such as UTD-IMPROV"):
        module.read_improv(tmp_path)


def test_mosei(local, tmp_path):
    module = local("mosei", "prepare_data")
    audio, texts = tmp_path / "Audio/Full/WAV_16000", tmp_path / "Transcript/Segmented/Combined"
    audio.mkdir(parents=True)
    texts.mkdir(parents=True)
    rng = np.random.default_rng(0)
    soundfile.write(audio / "-3g5yACwYnA.wav", 0.1 * rng.standard_normal(48000), 16000)
    lines = ["-3g5yACwYnA___0___0.5___1.5___it's  fine___x", "-3g5yACwYnA___1___1.5___3.0___no"]
    (texts / "-3g5yACwYnA.txt").write_text("\n".join(lines))
    head = "video_id,clip_id,text,label,mode," + ",".join(module.EMOTIONS)
    rows = ["-3g5yACwYnA,0,x,0.66,train,1,0,0,0,0.3,0", "-3g5yACwYnA,1,y,-1.0,valid,0,1,1,0,0,0"]
    (tmp_path / "label.csv").write_text("\n".join([head, *rows]))
    first, second = module.read_mosei(tmp_path, None, None, tmp_path / "clips")
    assert (first.emo, second.emo, second.part) == ("positive", "negative", "dev")
    assert first.text == "it's fine" and len(soundfile.read(first.wav)[0]) == 16000
    assert len(soundfile.read(second.wav)[0]) == 24000
    found = module.read_mosei(tmp_path, "emotion-only", None, tmp_path / "clips")
    assert [u.emo for u in found] == ["happy", None]  # two are equally strong
    assert module.emotion_of(dict.fromkeys(module.EMOTIONS, "0")) == "none"
    (tmp_path / "label.csv").write_text("\n".join([head, rows[0], "other,0,x,1,test,0,0,0,0,0,0"]))
    with pytest.raises(SertlError, match="row 3, other 0: FileNotFoundError"):
        module.read_mosei(tmp_path, None, None, tmp_path / "clips")
