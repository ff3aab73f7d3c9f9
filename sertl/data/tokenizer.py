# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Text to token ids for the auxiliary speech-recognition task; 0 is the CTC blank, 1 is unknown.

A tokenizer is learned on the training text of one fold, and lives in that fold's folder.
"""

import io
import logging
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import sentencepiece

from sertl.atomic import replacing, write_text
from sertl.errors import SertlError

logger = logging.getLogger(__name__)

BLANK, UNK, SPACE = "<blank>", "<unk>", "<space>"
CHAR_FILE = "char.txt"
MODEL_TYPES = ("bpe", "unigram")
TAG = re.compile(r"\[[^\]]*\]|\([^)]*\)|<[^>]*>|\{[^}]*\}")
APOSTROPHES = str.maketrans("’‘ʼ`´", "'''''")


def normalise_text(text: str) -> str:
    """Reduce text to upper-case words parted by one space, so that spelling habits do not count.

    Tags in brackets ("[LAUGHTER]", "<noise>") and punctuation except the apostrophe go; letters of
    any script stay. A letter whose upper case is several letters stays as it is (ß).
    """
    text = unicodedata.normalize("NFC", TAG.sub(" ", text)).translate(APOSTROPHES)
    text = text.replace("ẞ", "ß")
    letters = (c.upper() if len(c.upper()) == 1 else c for c in text)
    kept = (c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in letters)
    words = "".join(kept).split()
    return unicodedata.normalize("NFC", " ".join(w for w in words if w.strip("'")))


class CharTokenizer:
    """One token per character.

    Args:
        symbols: `<blank>`, `<unk>`, `<space>`, then the characters.
    """

    blank = 0

    def __init__(self, symbols: Sequence[str]):
        if list(symbols[:3]) != [BLANK, UNK, SPACE] or len(set(symbols)) < len(symbols):
            raise SertlError(
                f"not a list of characters: it starts with {list(symbols[:3])}, expected "
                f"{[BLANK, UNK, SPACE]} and then each character once"
            )
        self.symbols = list(symbols)
        self._index = {symbol: i for i, symbol in enumerate(symbols)}
        self._index[" "] = self._index.pop(SPACE)

    @classmethod
    def learn(cls, texts: Iterable[str]) -> "CharTokenizer":
        """Collect the characters of the training text."""
        found = {c for text in texts for c in normalise_text(text)} - {" "}
        if not found:
            raise SertlError("a tokenizer cannot be learned: the training text has no letters")
        return cls([BLANK, UNK, SPACE, *sorted(found)])

    @property
    def size(self) -> int:
        """Number of tokens with the blank."""
        return len(self.symbols)

    def encode(self, text: str) -> list[int]:
        """Normalise text and return its ids."""
        return [self._index.get(c, 1) for c in normalise_text(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids, without blanks."""
        text = "".join(self.symbols[i] for i in ids if i != self.blank)
        return " ".join(text.replace(SPACE, " ").split())

    def save(self, folder: str | os.PathLike) -> None:
        """Write `char.txt`, one symbol per line."""
        write_text(Path(folder) / CHAR_FILE, "".join(f"{s}\n" for s in self.symbols))


class SentencePieceTokenizer:
    """Subword tokens (byte-pair encoding or unigram language model).

    Args:
        model: Serialised SentencePiece model with the blank as piece 0.
        model_type: "bpe" or "unigram".
    """

    blank = 0

    def __init__(self, model: bytes, model_type: str = "bpe"):
        self.model = model
        self.model_type = model_type
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise SertlError(f"not a SentencePiece model: {error}") from error
        if self._processor.id_to_piece(self.blank) != BLANK:
            raise SertlError("SentencePiece model without <blank> as piece 0; learn it with sertl")

    @classmethod
    def learn(
        cls, texts: Iterable[str], size: int, model_type: str = "bpe"
    ) -> "SentencePieceTokenizer":
        """Learn pieces on the training text; fewer than size, with a warning, if it is too small.

        Raises:
            SertlError: If there is no text, or size is below the number of characters.
        """
        texts = [text for text in map(normalise_text, texts) if text]
        if not texts:
            raise SertlError("a tokenizer cannot be learned: the training text has no letters")
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=model,
                model_type=model_type,
                vocab_size=size,
                hard_vocab_limit=False,
                character_coverage=1.0,
                normalization_rule_name="identity",
                max_sentence_length=1 << 20,  # longer lines are left out without a word
                num_threads=1,
                pad_id=0,
                pad_piece=BLANK,
                unk_id=1,
                unk_piece=UNK,
                unk_surface=UNK,
                bos_id=-1,
                eos_id=-1,
                minloglevel=2,
            )
        except RuntimeError as error:
            needed = len({c for text in texts for c in text} | {" "}) + 2
            raise SertlError(
                f"{size} {model_type} tokens cannot be learned from {len(texts)} training texts, "
                f"whose characters alone need {needed}; set --bpe-size higher, or use "
                f"--token-type char (SentencePiece: {error})"
            ) from error
        tokenizer = cls(model.getvalue(), model_type)
        if tokenizer.size != size:
            logger.warning(
                "%d %s tokens were asked for, but %d training texts give only %d",
                *(size, model_type, len(texts), tokenizer.size),
            )
        return tokenizer

    @property
    def size(self) -> int:
        """Number of tokens with the blank."""
        return self._processor.get_piece_size()

    def encode(self, text: str) -> list[int]:
        """Normalise text and return its ids."""
        return self._processor.encode(normalise_text(text))

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids, without blanks."""
        return self._processor.decode([int(i) for i in ids if i != self.blank])

    def save(self, folder: str | os.PathLike) -> None:
        """Write `bpe.model` or `unigram.model`."""
        with replacing(Path(folder) / f"{self.model_type}.model") as temporary:
            temporary.write_bytes(self.model)


Tokenizer = CharTokenizer | SentencePieceTokenizer


def learn_tokenizer(texts: Iterable[str], token_type: str, bpe_size: int) -> Tokenizer:
    """Learn the tokenizer of --token-type on training text."""
    if token_type == "char":
        return CharTokenizer.learn(texts)
    return SentencePieceTokenizer.learn(texts, bpe_size, token_type)


def pack_tokenizer(tokenizer: Tokenizer) -> dict:
    """The tokenizer as plain values, for a checkpoint."""
    if isinstance(tokenizer, CharTokenizer):
        return {"type": "char", "symbols": tokenizer.symbols}
    return {"type": tokenizer.model_type, "model": list(tokenizer.model)}


def unpack_tokenizer(packed: dict) -> Tokenizer:
    """Undo pack_tokenizer.

    Raises:
        SertlError: If it is none.
    """
    if packed["type"] == "char":
        return CharTokenizer(packed["symbols"])
    return SentencePieceTokenizer(bytes(packed["model"]), packed["type"])


def load_tokenizer(folder: str | os.PathLike) -> Tokenizer:
    """Load the tokenizer that stage 2 left in a folder.

    Raises:
        SertlError: If there is none.
    """
    folder = Path(folder)
    char = folder / CHAR_FILE
    if char.is_file():
        return CharTokenizer(char.read_text(encoding="utf-8").split("\n")[:-1])
    for model_type in MODEL_TYPES:
        model = folder / f"{model_type}.model"
        if model.is_file():
            return SentencePieceTokenizer(model.read_bytes(), model_type)
    raise SertlError(
        f"{folder}: no tokenizer ({CHAR_FILE}, bpe.model or unigram.model); run stage 2 "
        "(make_folds) on data with `text` and without --token-type none"
    )
