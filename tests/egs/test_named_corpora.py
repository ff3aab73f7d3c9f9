# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Corpora read from file names: whole trees of empty files give the released counts; oddities."""

from itertools import product
from pathlib import Path

import pytest

from sertl.data.corpus import apply_policy, check_counts, load_corpus
from sertl.data.prepare import prepare
from sertl.errors import SertlError

EGS = Path(__file__).resolve().parents[2] / "egs"


def ravdess():
    for actor, emo, level, text, take in product(range(1, 25), range(1, 9), (1, 2), (1, 2), (1, 2)):
        if (emo, level) != (1, 2):  # neutral has no strong form
            numbers = "-".join(f"{n:02d}" for n in (3, 1, emo, level, text, take, actor))
            yield f"Actor_{actor:02d}/{numbers}.wav"


def cremad():
    sentences = "IEO TIE IOM IWW TAI MTI IWL ITH DFA ITS TSI WSI".split()
    left = dict.fromkeys(("ANG", "DIS", "FEA", "HAP", "SAD"), 1271) | {"NEU": 1087}
    yield "AudioWAV/1076_MTI_SAD_XX.wav"
    left["SAD"] -= 1
    for text, actor, emo in product(sentences, range(1001, 1092), left):
        levels = ("LO", "MD", "HI") if text == "IEO" and emo != "NEU" else ("XX",)
        for level in levels:
            name = f"AudioWAV/{actor}_{text}_{emo}_{level}.wav"
            if left[emo] and name != "AudioWAV/1076_MTI_SAD_XX.wav":
                left[emo] -= 1
                yield name


def tess():
    for spk, emo, n in product(
        ("OAF", "YAF"), ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad"), range(200)
    ):
        word = "".join(chr(97 + int(d)) for d in f"{n:03d}")
        spk = "OA" if (spk, emo, n) == ("OAF", "neutral", 7) else spk  # a slip of the release
        yield f"{spk}_{emo}/{spk}_{word}_{emo}.wav"


def savee():
    for spk, emo in product(("DC", "JE", "JK", "KL"), ("a", "d", "f", "h", "n", "sa", "su")):
        for n in range(1, 31 if emo == "n" else 16):
            yield f"AudioData/{spk}/{emo}{n:02d}.wav"


def emovo():
    texts = "b1 b2 b3 l1 l2 l3 l4 n1 n2 n3 n4 n5 d1 d2".split()
    for emo, spk, text in product(
        ("dis", "gio", "neu", "pau", "rab", "sor", "tri"),
        ("f1", "f2", "f3", "m1", "m2", "m3"),
        texts,
    ):
        yield f"EMOVO/{spk}/{emo}-{spk}-{text}.wav"


def cafe():
    for actor, emo, level, text in product(range(1, 13), "CDJNPST", (1, 2), range(1, 7)):
        if (emo, level) != ("N", 2):
            yield f"Colère/Fort/{actor:02d}-{emo}-{level}-{text}.wav"


def shemo():
    counts = {"A": 1059, "F": 38, "H": 201, "N": 1028, "S": 449, "W": 225}
    speakers = [f"F{n:02d}" for n in range(1, 32)] + [f"M{n:02d}" for n in range(1, 57)]
    for emo, count in counts.items():
        for n in range(count):
            spk = speakers[n % 87]
            yield f"{'female' if spk[0] == 'F' else 'male'}/{spk}{emo}{n // 87 + 1:02d}.wav"


TREES = {
    "ravdess": (ravdess, lambda m, root: m.read_ravdess(root), 1440),
    "cremad": (cremad, lambda m, root: m.read_cremad(root, None), 7442),
    "tess": (tess, lambda m, root: m.read_tess(root), 2800),
    "savee": (savee, lambda m, root: m.read_savee(root), 480),
    "emovo": (emovo, lambda m, root: m.read_emovo(root), 588),
    "cafe": (cafe, lambda m, root: m.read_cafe(root), 936),
    "shemo": (shemo, lambda m, root: m.read_shemo(root), 3000),
}


def touch(root, names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


@pytest.mark.parametrize("name", TREES)
def test_a_whole_tree_has_the_counts_of_the_release(name, local, tmp_path):
    names, read, total = TREES[name]
    module = local(name, "prepare_data")
    root = touch(tmp_path / "C O", names())
    first = next(iter(names()))
    (root / first).with_name(f"._{Path(first).name}").write_bytes(b"\x00\x05")
    (root / "readme.txt").write_text("words")
    utts = read(module, root)
    assert len(utts) == total and len({u.utt for u in utts}) == total
    assert all(u.utt.startswith(f"{u.spk}-") and u.style == "acted" for u in utts)
    policies = load_corpus(EGS / name / "conf/corpus.yaml")
    for policy in {policies.policy, *(["7class"] if name == "ravdess" else [])}:
        corpus = load_corpus(EGS / name / "conf/corpus.yaml", policy)
        kept, _ = apply_policy(corpus, utts)
        check_counts(corpus, kept)
    if corpus.group_by == "session":
        assert len({(u.spk, u.session) for u in utts}) == len({u.spk for u in utts})
        assert 5 <= len({u.session for u in utts}) <= 6


@pytest.mark.parametrize("name", TREES)
def test_wrong_folders_and_names_are_said(name, local, tmp_path):
    names, read, _ = TREES[name]
    module = local(name, "prepare_data")
    with pytest.raises(SertlError, match="no such folder"):
        read(module, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SertlError, match="looked for .* and the like, found an empty folder"):
        read(module, tmp_path / "empty")
    first = Path(next(iter(names())))
    root = touch(tmp_path / "mixed", [str(first), str(first.with_name("holiday.wav"))])
    with pytest.raises(SertlError, match=r"1 problem\n.*holiday.wav: expected a name such as"):
        read(module, root)


def test_ravdess_oddities(local, tmp_path, write_wav, caplog):
    """A second tree, stereo files, song and the sound of films."""
    module = local("ravdess", "prepare_data")
    name = "03-01-02-01-01-02-01.wav"
    write_wav(tmp_path / "Actor_01" / name, 48000, 2)
    (tmp_path / "sorted/calm").mkdir(parents=True)
    (tmp_path / "sorted/calm" / name).write_bytes((tmp_path / "Actor_01" / name).read_bytes())
    write_wav(tmp_path / "Actor_01/03-02-02-01-01-02-01.wav")
    write_wav(tmp_path / "Actor_01/01-01-02-01-01-02-01.wav")
    write_wav(tmp_path / "Actor_02/03-01-08-02-01-01-02.wav")
    first, second = module.read_ravdess(tmp_path)
    assert (first.spk, first.emo, first.gender, first.session) == ("01", "calm", "m", "group01")
    assert (second.emo, second.gender, second.own) == ("surprised", "f", {"level": "strong"})
    caplog.set_level("INFO")
    corpus = load_corpus(EGS / "ravdess/conf/corpus.yaml")
    prepare(corpus, [first, second], tmp_path / "out/all", allow_subset=True)
    assert "1 files have several channels" in caplog.text and "resampled to 16 kHz" in caplog.text
    write_wav(tmp_path / "Actor_02/03-01-09-02-01-01-02.wav")
    with pytest.raises(SertlError, match="unknown emo '09', expected 01, 02"):
        module.read_ravdess(tmp_path)


def test_cremad_votes_genders_and_stubs(local, tmp_path, write_wav, caplog):
    module = local("cremad", "prepare_data")
    for name in ("1001_DFA_ANG_XX", "1002_IEO_SAD_HI", "1091_IEO_HAP_X"):
        write_wav(tmp_path / f"AudioWAV/{name}.wav")
    utts = {u.utt: u for u in module.read_cremad(tmp_path, "intended")}
    assert "genders are not known" in caplog.text
    assert utts["1091-1091_IEO_HAP_X"].own == {"level": "-", "intended": "happiness"}
    with pytest.raises(SertlError, match=r"summaryTable.csv: no such file; the policy `voice`"):
        module.read_cremad(tmp_path, "voice")
    (tmp_path / "VideoDemographics.csv").write_text(
        "ActorID,Age,Sex\n1001,51,Male\n1002,21,Female\n"
    )
    table = tmp_path / "processedResults/summaryTable.csv"
    table.parent.mkdir()
    table.write_text(
        '"","FileName","VoiceVote","FaceVote"\n"1","1001_DFA_ANG_XX","N","A"\n'
        '"2","1002_IEO_SAD_HI","N:S","S"\n"3","1091_IEO_HAP_X","H","H"\n'
    )
    utts = module.read_cremad(tmp_path, "voice")
    assert [(u.emo, u.gender) for u in utts] == [
        ("neutral", "m"),
        ("tie", "f"),
        ("happiness", None),
    ]
    kept, dropped = apply_policy(load_corpus(EGS / "cremad/conf/corpus.yaml", "voice"), utts)
    assert len(kept) == 2 and dropped == {"label tie": 1}
    stub = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    (tmp_path / "AudioWAV/1001_DFA_ANG_XX.wav").write_bytes(stub)
    with pytest.raises(SertlError, match="a Git LFS stub, not audio"):
        module.read_cremad(tmp_path, None)


def test_savee_reads_codes_of_two_letters_first(local, tmp_path):
    module = local("savee", "prepare_data")
    root = touch(tmp_path, ["ALL/DC_sa01.wav", "ALL/DC_su15.wav", "ALL/JK_a01.wav"])
    assert [u.emo for u in module.read_savee(root)] == ["sadness", "surprise", "anger"]
    with pytest.raises(SertlError, match="unknown speaker 'XY'"):
        module.read_savee(touch(tmp_path / "other", ["XY_a01.wav"]))


def test_tess_gives_the_misspelt_file_to_its_speaker(local, tmp_path):
    module = local("tess", "prepare_data")
    root = touch(tmp_path, ["OAF_neutral/OA_bite_neutral.wav", "YAF_angry/YAF_back_angry.wav"])
    assert [(u.utt, u.text) for u in module.read_tess(root)] == [
        ("OAF-OA_bite_neutral", "Say the word bite"),
        ("YAF-YAF_back_angry", "Say the word back"),
    ]


def test_german_italian_and_french_initials(local, tmp_path):
    emovo, cafe = local("emovo", "prepare_data"), local("cafe", "prepare_data")
    assert emovo.EMOTIONS["pau"] == "fear" and emovo.EMOTIONS["rab"] == "anger"
    cafe = local("cafe", "prepare_data")
    assert cafe.EMOTIONS["P"] == "fear" and cafe.EMOTIONS["T"] == "sadness"
