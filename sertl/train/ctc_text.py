# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Text from CTC outputs."""

import logging
from collections.abc import Mapping

import numpy as np
import torch

from sertl.data.tokenizer import Tokenizer
from sertl.errors import SertlError

logger = logging.getLogger(__name__)

UNREAD = 0.95  # a word error rate from which on nothing was learned
# A token less probable than this in a frame does not extend a hypothesis there: thirty times
# faster with a thousand tokens, and nothing that could win is lost.
CUT = 1e-4
FIRST = 0x10000  # the decoder's alphabet is of characters, so token i is the character FIRST + i


def warn_of_unread(dev: Mapping[str, float]) -> None:
    """Say so if recognition, at the end of a phase, still reads nothing.

    CTC predicts blanks only for the first hundreds of updates. A phase that ends there has hardly
    been helped by recognition, and its emotion scores say nothing for or against it.

    Args:
        dev: Scores of the last epoch.
    """
    if dev.get("wer", 0.0) > UNREAD:
        logger.warning(
            "recognition has not learned to read: dev WER %.0f %%. More epochs, a larger "
            "model_conf.weights.asr, or a faster head (optim_conf.lr_scale.ctc=10) help",
            100 * dev["wer"],
        )


def to_text(log_probs: torch.Tensor, tokenizer: Tokenizer, beam: int = 1) -> list[str]:
    """Read CTC outputs.

    Args:
        log_probs: (B, T, V), token 0 is the blank; padded with certain blanks.
        tokenizer: Of V tokens.
        beam: Hypotheses kept from frame to frame; 1 reads the best token of every frame.

    Raises:
        SertlError: For a beam below 1.
    """
    if beam < 1:
        raise SertlError(f"decode_conf.beam is {beam}, expected 1 (greedy) or more")
    read = greedy if beam == 1 else beam_search
    options = {} if beam == 1 else {"beam": beam}
    rows = log_probs.float().cpu().numpy()
    return [tokenizer.decode(read(row, **options)) for row in rows]


def greedy(log_probs: np.ndarray) -> list[int]:
    """(T, V) -> tokens of the best path: repeats are one token, blanks none."""
    best = log_probs.argmax(axis=1)
    starts = np.diff(best, prepend=-1) != 0
    return [int(token) for token in best[starts] if token != 0]


def beam_search(log_probs: np.ndarray, beam: int) -> list[int]:
    """(T, V) -> the most probable tokens, summed over their paths, without a language model.

    By fast-ctc-decode: maintained, exact with a wide beam, needs no other package and no token
    for silence. torchaudio's decoder (flashlight-text) starts from a silence token, which a
    SentencePiece model lacks, and pyctcdecode is held back by numpy < 2.
    """
    from fast_ctc_decode import beam_search as search

    vocab = log_probs.shape[1]
    alphabet = [chr(FIRST + i) for i in range(vocab)]
    text, _ = search(
        np.exp(log_probs, dtype=np.float32),
        alphabet,
        beam_size=beam,
        beam_cut_threshold=min(CUT, 0.5 / vocab),
    )
    return [ord(character) - FIRST for character in text]
