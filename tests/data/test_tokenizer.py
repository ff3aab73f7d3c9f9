# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Text normalisation and tokenizers."""

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sertl.data.tokenizer import (
    CharTokenizer,
    SentencePieceTokenizer,
    load_tokenizer,
    normalise_text,
)
from sertl.errors import SertlError

TEXTS = ["Das will sie am Mittwoch abgeben.", "Ich fuhr groß nach Łódź – it's fine", "[BREATH]"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello,  world!", "HELLO WORLD"),
        ("it’s ‘fine’ -- isn't it?", "IT'S 'FINE' ISN'T IT"),
        ("[LAUGHTER] well <noise> (sighs) {x} yes", "WELL YES"),
        ("uh-huh", "UH HUH"),
        ("große Tüten, żółw, ŁÓDŹ", "GROßE TÜTEN ŻÓŁW ŁÓDŹ"),
        ("GROẞ", "GROß"),
        ("u\u0308ber", "ÜBER"),  # a letter and a combining mark
        ("日本語 です。", "日本語 です"),
        ("3.5 %", "3 5"),
        ("' '' -", ""),
        ("tab\tand\u00a0blank\n", "TAB AND BLANK"),
        ("", ""),
    ],
)
def test_normalise(text, expected):
    assert normalise_text(text) == expected


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20))
def test_normalising_twice_changes_nothing(text):
    once = normalise_text(text)
    assert normalise_text(once) == once


@pytest.fixture(scope="module")
def learnt():
    char = CharTokenizer.learn(TEXTS)
    bpe = SentencePieceTokenizer.learn(TEXTS, 40)
    unigram = SentencePieceTokenizer.learn(TEXTS, 32, "unigram")
    return [char, bpe, unigram]


def test_char_symbols_by_hand():
    tokenizer = CharTokenizer.learn(["ba", "b c'd"])
    assert tokenizer.symbols == ["<blank>", "<unk>", "<space>", "'", "A", "B", "C", "D"]
    assert tokenizer.encode("b  a, x") == [5, 2, 4, 2, 1]
    assert tokenizer.decode([0, 5, 0, 2, 4, 2, 2, 1]) == "B A <unk>"
    assert tokenizer.size == 8 and tokenizer.blank == 0


@settings(max_examples=60, deadline=None)
@given(text=st.text("".join(TEXTS) + " ", max_size=30))
def test_round_trip(learnt, text):
    for tokenizer in learnt:
        ids = tokenizer.encode(text)
        assert all(0 < i < tokenizer.size for i in ids)
        assert tokenizer.decode(ids) == normalise_text(text)


def test_blank_and_unknown(learnt):
    for tokenizer in learnt:
        ids = tokenizer.encode("mittwoch")
        blanks = [i for pair in zip(ids, [0] * len(ids), strict=True) for i in pair]
        assert tokenizer.decode(blanks) == "MITTWOCH"
        assert 1 in tokenizer.encode("日")
        assert tokenizer.encode("[BREATH]") == [] and tokenizer.decode([]) == ""


def test_save_and_load(learnt, tmp_path):
    for i, tokenizer in enumerate(learnt):
        tokenizer.save(tmp_path / str(i))
        loaded = load_tokenizer(tmp_path / str(i))
        assert type(loaded) is type(tokenizer) and loaded.size == tokenizer.size
        assert loaded.encode(TEXTS[1]) == tokenizer.encode(TEXTS[1])
    assert [p.name for i in range(3) for p in (tmp_path / str(i)).iterdir()] == [
        *("char.txt", "bpe.model", "unigram.model")
    ]


def test_learning_is_repeatable():
    a, b = (SentencePieceTokenizer.learn(TEXTS, 35) for _ in range(2))
    assert a.model == b.model


def test_too_little_text_gives_fewer_tokens_and_says_so(caplog):
    caplog.set_level(logging.WARNING)
    tokenizer = SentencePieceTokenizer.learn(TEXTS, 5000)
    assert 26 < tokenizer.size < 200
    assert f"5000 bpe tokens were asked for, but 2 training texts give only {tokenizer.size}" in (
        caplog.text
    )


def test_impossible_sizes_and_texts():
    with pytest.raises(SertlError, match="characters alone need 6; set --bpe-size higher"):
        SentencePieceTokenizer.learn(["ab", "a c"], 4)  # a, b, c, word start, blank, unknown
    for learn in (CharTokenizer.learn, lambda t: SentencePieceTokenizer.learn(t, 9)):
        with pytest.raises(SertlError, match="no letters"):
            learn(["[NOISE]", "..."])


def test_broken_files(tmp_path):
    (tmp_path / "bpe.model").write_bytes(b"nonsense")
    with pytest.raises(SertlError, match="not a SentencePiece model"):
        load_tokenizer(tmp_path)
    (tmp_path / "char.txt").write_text("A\nB\n")
    with pytest.raises(SertlError, match="not a list of characters"):
        load_tokenizer(tmp_path)
