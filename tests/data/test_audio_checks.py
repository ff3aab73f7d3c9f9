# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 1 by several machines: the data directory of a single run, each file decoded once."""

import logging

import numpy as np
import pytest
import soundfile

from sertl.data import audio_checks
from sertl.data.corpus import Corpus
from sertl.data.datadir import Utterance
from sertl.data.prepare import prepare
from sertl.errors import SertlError
from sertl.shard import Shard

CORPUS = Corpus("toy", "1", "en", "CC0", "nobody", ["ang", "neu"])


@pytest.fixture
def utts(tmp_path):
    made = []
    for n in range(12):
        wav = tmp_path / f"{n}.wav"
        soundfile.write(wav, np.random.default_rng(n).normal(0, 0.1, 1600 + 160 * n), 16000)
        made.append(Utterance(f"s{n % 3}-{n}", f"s{n % 3}", str(wav), 0.0, ("ang", "neu")[n % 2]))
    return made


def tables(folder):
    return {p.name: p.read_text() for p in folder.iterdir() if p.is_file() and p.suffix != ".json"}


def test_shards_look_at_each_file_once(utts, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    prepare(CORPUS, utts, tmp_path / "whole/all")
    seen, real = [], audio_checks.inspect_audio
    monkeypatch.setattr(audio_checks, "inspect_audio", lambda p: (seen.append(p), real(p))[1])
    out = tmp_path / "shared/all"
    for text in ("3/3", "1/3"):
        prepare(CORPUS, utts, out, shard=Shard.parse(text))
    assert not out.exists() and 0 < len(seen) < 12
    for text in ("1/3", "2/3", "3/3"):
        prepare(CORPUS, utts, out, shard=Shard.parse(text))  # that of a dead machine, again
    seen.clear()
    prepare(CORPUS, utts, out)
    assert tables(out) == tables(tmp_path / "whole/all") and not seen
    assert "12 files were checked by shards, 0 are left" in caplog.text
    assert [p.name for p in out.parent.iterdir() if not p.name.startswith(".")] == ["all"]


def test_files_that_changed_or_fail_are_looked_at_or_named_when_all_is_joined(utts, tmp_path):
    out = tmp_path / "shared/all"
    bad = utts[4].wav
    good = open(bad, "rb").read()
    open(bad, "wb").write(good[:50])
    for text in ("1/2", "2/2"):
        prepare(CORPUS, utts, out, shard=Shard.parse(text))  # what is wrong is said once, of all
    with pytest.raises(SertlError, match=r"audio that cannot be used[^/]*s1-4"):
        prepare(CORPUS, utts, out)
    open(bad, "wb").write(good)
    prepare(CORPUS, utts, out)
    assert (out / "utt2dur").is_file()
    folder = audio_checks.folder_of(tmp_path / "other/all")
    folder.mkdir(parents=True)
    (folder / "1of2.jsonl").write_text('{"wav": 1}\n')
    with pytest.raises(SertlError, match=r"1of2.jsonl:1 .*run its shard again"):
        prepare(CORPUS, utts, tmp_path / "other/all")
