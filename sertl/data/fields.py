# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The table of what may be known of an utterance: file, values, and what it becomes in a batch.

Validation, reading and writing of data directories, batches, fingerprints, decoding and scores all
go by it. A file `utt2<name>` that is not in it is a column of the corpus's own: one word for each
utterance, a class field like the others. Unknown for some utterances is written `-`; a file whose
values are all unknown is not written. "vad" is valence, arousal and dominance throughout, never
voice activity.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from sertl.schema.corpus_keys import Style

UNKNOWN = "-"
DIMENSIONS = ("valence", "arousal", "dominance")
PARTS = ("train", "dev", "test")  # of a corpus's own split
RESERVED = {"spk", "dur", "num_frames"}  # utt2<name> that is no column


@dataclass(frozen=True)
class Field:
    """One thing that may be known.

    Attributes:
        name: Attribute of Utterance, and what a model's `needs` calls it.
        file: In the data directory.
        kind: class (an index in a batch, -1 where unknown), vad (three numbers, NaN), votes (a
            number for each class of emo, NaN), text (tokens), number or note (in no batch).
        values: What it may be; empty for any word. Of emo the file `labels` says.
        of_speaker: Whether the file lists speakers instead of utterances.
        scored_as: Its name in score_<set>.json.
    """

    name: str
    file: str
    kind: str = "class"
    values: tuple[str, ...] = ()
    of_speaker: bool = False
    scored_as: str = ""

    @property
    def hyp(self) -> str:
        """The file of its predictions in decode_<set>/."""
        return f"hyp_{self.name}"

    def problem(self, value: str, labels: Sequence[str] = ()) -> str | None:
        """Say what is wrong with a value in its file; None if nothing is.

        Args:
            value: As written.
            labels: The classes of emo.
        """
        if value == UNKNOWN or self.kind == "text":
            return None
        if self.kind == "vad":
            ok = len(numbers(value)) == 3
            return None if ok else f"expected three numbers: {' '.join(DIMENSIONS)}"
        if self.kind == "votes":
            found = numbers(value)
            good = len(found) == len(labels) and min(found, default=-1) >= 0 and sum(found) > 0
            return None if good else f"expected {len(labels)} numbers of raters, one for each class"
        if self.kind == "number":
            return None if len(numbers(value)) == 1 else "expected one number"
        known = tuple(labels) if self.name == "emo" else self.values
        if known or self.name == "emo":
            return None if value in known else f"expected one of {', '.join(known)}"
        return "expected one word" if " " in value else None


FIELDS = {
    field.name: field
    for field in (
        Field("emo", "utt2emo", scored_as="emotion"),
        Field("gender", "spk2gender", values=("f", "m"), of_speaker=True, scored_as="gender"),
        Field("text", "text", "text", scored_as="text"),
        Field(
            "style",
            "utt2style",
            values=get_args(Style),
            scored_as="style",
        ),
        Field("vad", "utt2vad", "vad", scored_as="vad"),
        Field("votes", "utt2votes", "votes", scored_as="votes"),
        Field("session", "utt2session", "note"),
        Field("part", "utt2part", "note", PARTS),
        Field("order", "utt2order", "number"),
    )
}
SPEAKER = Field("spk", "utt2spk", scored_as="spk")


def field_of(name: str) -> Field:
    """The field of that name: of the table, the speaker, or a column of the corpus's own."""
    if name == SPEAKER.name:
        return SPEAKER
    return FIELDS.get(name) or Field(name, f"utt2{name}", scored_as=name)


def own_columns(files: Iterable[str]) -> list[Field]:
    """The columns of the corpus's own among the files of a data directory, by name."""
    known = {field.file for field in FIELDS.values()}
    names = [
        match[1]
        for file in files
        if file not in known and (match := re.fullmatch(r"utt2([a-z][a-z0-9_]*)", file))
    ]
    return [field_of(name) for name in sorted(names) if name not in RESERVED]


def numbers(text: str) -> list[float]:
    """Parse finite numbers; an empty list if any word is not one."""
    try:
        found = [float(word) for word in text.split()]
    except ValueError:
        return []
    return found if all(math.isfinite(n) for n in found) else []
