# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""CTC outputs to text: greedy by hand, beam search against all paths, both tokenizers, WER."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sertl.data.folds import FoldDir
from sertl.data.tokenizer import CharTokenizer, SentencePieceTokenizer
from sertl.errors import SertlError
from sertl.models.two_stage.ctc import certain_blanks
from sertl.score.metrics import word_errors
from sertl.train.ctc_text import (
    beam_search,
    greedy,
    to_text,
    warn_of_unread,
)
from sertl.train.settings import check_whole_clips

TEXTS = ["GUTEN TAG", "AB UND ZU EIN WORT", "TAG UND NACHT"]


def frames(ids, size, certainty=0.9):
    """(T, V) log-probabilities that favour ids."""
    probs = np.full((len(ids), size), (1 - certainty) / (size - 1), dtype=np.float32)
    probs[np.arange(len(ids)), ids] = certainty
    return torch.from_numpy(np.log(probs))


def most_probable(log_probs):
    """By listing all paths."""
    totals = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        key = tuple(greedy(np.eye(log_probs.shape[1])[list(path)]))
        score = sum(log_probs[t, token] for t, token in enumerate(path))
        totals[key] = np.logaddexp(totals.get(key, -np.inf), score)
    return list(max(totals, key=totals.get))


def test_greedy_by_hand():
    assert greedy(frames([0, 2, 2, 0, 2, 1, 1, 0], 3).numpy()) == [2, 2, 1]
    assert greedy(frames([0, 0], 3).numpy()) == []
    assert greedy(frames([1], 3).numpy()) == [1]


def test_beam_search_finds_the_most_probable_of_all():
    # blank is best in both frames (0.6 * 0.6 = 0.36), but a has three paths: 0.64
    log_probs = np.log(np.array([[0.6, 0.4], [0.6, 0.4]], dtype=np.float32))
    assert greedy(log_probs) == [] and beam_search(log_probs, 4) == [1]
    rng = np.random.default_rng(0)
    differ = 0
    for _ in range(20):
        logits = torch.from_numpy(1.5 * rng.normal(size=(5, 4)).astype(np.float32))
        log_probs = logits.log_softmax(1).numpy()
        assert beam_search(log_probs, 50) == most_probable(log_probs)
        differ += greedy(log_probs) != most_probable(log_probs)
    assert differ


@pytest.mark.parametrize("beam", [1, 8])
@pytest.mark.parametrize(
    "tokenizer",
    [CharTokenizer.learn(TEXTS), SentencePieceTokenizer.learn(TEXTS, 30)],
    ids=["char", "bpe"],
)
def test_text_comes_back_whatever_the_padding(tokenizer, beam):
    rows, lens = [], []
    for text in TEXTS[:2]:
        ids = [i for token in tokenizer.encode(text) for i in (token, 0)]
        rows.append(frames(ids, tokenizer.size))
        lens.append(len(ids))
    padded = torch.randn(2, max(lens) + 5, tokenizer.size).log_softmax(2)
    for out, row in zip(padded, rows, strict=True):
        out[: len(row)] = row
    log_probs = certain_blanks(padded, torch.tensor(lens))
    assert to_text(log_probs, tokenizer, beam) == TEXTS[:2]


def test_a_long_hypothesis_does_not_round_to_nothing():
    log_probs = (6 * torch.randn(2000, 30, generator=torch.Generator().manual_seed(0))).log_softmax(
        1
    )
    assert len(beam_search(log_probs.numpy(), 4)) > 1500


def test_wer_by_hand():
    # "THE CAT SAT" -> "THE CAT SIT DOWN": 1 substitution, 1 insertion; "GO" -> "": 1 deletion
    scores = word_errors(["The cat sat.", "Go [LAUGHTER]"], ["THE CAT SIT DOWN", ""])
    assert scores["wer"] == pytest.approx(3 / 4)


def test_another_tokenizer_has_another_hash(tmp_path):
    fold = FoldDir(tmp_path, 1)
    assert fold.tokenizer_hash() is None and fold.tokenizer() is None
    (fold.path / "tokenizer").mkdir(parents=True)
    CharTokenizer.learn(TEXTS).save(fold.path / "tokenizer")
    first = fold.tokenizer_hash()
    CharTokenizer.learn([*TEXTS, "X"]).save(fold.path / "tokenizer")
    assert first and fold.tokenizer_hash() not in (None, first)
    assert "X" in fold.tokenizer().symbols


def test_clips_with_transcripts_are_not_cropped(phase_conf):
    phase = phase_conf(data_conf={"crop_sec": 6.0})
    check_whole_clips(SimpleNamespace(needs=("emo",)), phase)
    with pytest.raises(SertlError, match="phase main: data_conf.crop_sec 6.0 cuts the audio"):
        check_whole_clips(SimpleNamespace(needs=("emo", "text")), phase)
    phase["data_conf"]["crop_sec"] = 0.0
    check_whole_clips(SimpleNamespace(needs=("emo", "text")), phase)


def test_a_beam_below_one_is_refused():
    with pytest.raises(SertlError, match="decode_conf.beam is 0"):
        to_text(torch.zeros(1, 2, 3), CharTokenizer.learn(TEXTS), 0)


@pytest.mark.parametrize(
    ("dev", "warns"), [({"wer": 1.0}, True), ({"wer": 0.6}, False), ({}, False)]
)
def test_a_phase_that_ends_before_it_can_read_says_so(caplog, dev, warns):
    warn_of_unread({**dev, "ua": 0.5})
    assert ("not learned to read: dev WER 100 %" in caplog.text) == warns
