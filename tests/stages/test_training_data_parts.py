# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Folds of two corpora in training: shares of the target, the source's part, nothing held out."""

from collections import Counter

import pytest

from sertl.data.datadir import Utterance, write_data_dir
from sertl.data.folds import FoldDir
from sertl.errors import SertlError
from sertl.stages.experiment import other_data
from sertl.stages.phase import dev_data
from sertl.stages.start import check_foreign_start
from sertl.stages.training_data import save_ids, share_of, training_data

PARTS = {
    "train": "ab", "dev": "c", "test": "d",
    "source_train": "pq", "source_dev": "r", "source_test": "s",
}  # fmt: skip


def utterance(spk, number, emo="ang"):
    return Utterance(f"{spk}-{number}", spk, f"{spk}-{number}.wav", 1.0, emo=emo)


def many(num_ang=50, num_sad=20):
    utts = [utterance("a", n) for n in range(num_ang)]
    utts += [utterance("b", n, "sad") for n in range(num_sad)]
    return {u.utt: u for u in utts}


def write(fold, part, utts):
    write_data_dir(fold.path / part, utts, ["ang", "sad"])


@pytest.fixture
def fold(tmp_path):
    fold = FoldDir(tmp_path / "data", 1)
    for part, speakers in PARTS.items():
        write(fold, part, [utterance(spk, n) for spk in speakers for n in (1, 2)])
    return fold


def test_shares_are_stratified_and_nested():
    """50 and 20 utterances: 10 % is 5 and 2, 30 % is 15 and 6, and they lie in each other."""
    utts = many()
    tenth, third, whole = (share_of(utts, share, 1) for share in (0.1, 0.3, 1.0))
    assert Counter(u.emo for u in tenth.values()) == {"ang": 5, "sad": 2}
    assert Counter(u.emo for u in third.values()) == {"ang": 15, "sad": 6}
    assert tenth.keys() < third.keys() < whole.keys() == utts.keys()
    assert list(third) == [utt for utt in utts if utt in third]  # the order stays
    previous = set()
    for share in (0.01, 0.07, 0.15, 0.5, 0.77, 1.0):
        found = share_of(utts, share, 3).keys()
        assert previous <= found
        assert {utts[utt].emo for utt in found} == {"ang", "sad"}  # at least one of each
        previous = found


def test_the_fold_decides_the_draw():
    utts = many()
    assert share_of(utts, 0.1, 1) == share_of(utts, 0.1, 1)
    assert share_of(utts, 0.1, 1).keys() != share_of(utts, 0.1, 2).keys()


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
def test_no_such_share(share):
    with pytest.raises(SertlError, match=f"share is {share}, expected more than 0"):
        share_of(many(), share, 1)


def test_a_share_of_the_target_and_the_whole_source(fold):
    write(fold, "train", many().values())
    sources = ["fold", "fold/source_train"]
    found = training_data(sources, fold, True, False, 0.1)
    assert Counter(u.spk for u in found.utts.values()) == {"a": 5, "b": 2, "p": 2, "q": 2}


def test_stages_see_no_one_held_out(fold):
    speakers = {}
    for sources in (["fold/source_train"], ["fold"], ["fold", "fold/source_train"]):
        for labelled in (True, False):
            found = training_data(sources, fold, labelled, False)
            speakers[tuple(sources)] = {u.spk for u in found.utts.values()}
    assert list(speakers.values()) == [{"p", "q"}, {"a", "b"}, {"a", "b", "p", "q"}]
    for part in ("dev", "test", "source_dev", "source_test"):
        with pytest.raises(SertlError, match=f"fold/{part} is held out"):
            training_data([f"fold/{part}"], fold, False, True)


def test_a_source_with_a_test_speaker_is_refused(fold):
    write(fold, "source_train", [utterance("p", 1), utterance("d", 9)])
    with pytest.raises(SertlError, match="fold/source_train holds 1 .* test speakers, e.g. d-9"):
        training_data(["fold/source_train"], fold, True, False)


def test_other_speech_of_the_source_s_held_out_speakers_stays_out(fold, tmp_path):
    utts = [utterance(spk, 7) for spk in "drsx"]
    write_data_dir(tmp_path / "other", utts, ["ang", "sad"])
    found = training_data([str(tmp_path / "other")], fold, False, False)
    assert list(found.utts) == ["x-7"]
    seen = tmp_path / "phase"
    seen.mkdir()
    save_ids(seen, fold.part("source_train"))
    check_foreign_start(seen, fold, False)
    save_ids(seen, fold.part("source_test"))
    with pytest.raises(SertlError, match="trained on 2 utterances, or others .* e.g. s-1"):
        check_foreign_start(seen, fold, False)


def test_a_fold_without_a_source(fold):
    with pytest.raises(SertlError, match="has no part 'source_trian'; .*egs/adaptation"):
        training_data(["fold/source_trian"], fold, True, False)


def test_parts_of_the_fold_are_in_its_own_dump():
    phases = [{"data_conf": {"train": ["fold", "fold/source_train", "../other/data/all"]}}]
    assert other_data({"phases": phases}) == ["../other/data/all"]


def test_dev_of_a_phase(fold):
    def phase(dev):
        return {"data_conf": {"dev": dev}}

    assert {u.spk for u in dev_data(phase("dev"), fold).utts.values()} == {"c"}
    assert {u.spk for u in dev_data(phase("source_dev"), fold).utts.values()} == {"r"}
    (fold.path / "dev").rename(fold.path / "gone")
    assert dev_data(phase("dev"), fold) is None
