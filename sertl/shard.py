# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Work dealt to N machines on a shared disk: the i-th takes what is its own, `--shard i/N`."""

import re
from dataclasses import dataclass

from sertl.errors import SertlError
from sertl.seed import derive_seed


@dataclass(frozen=True)
class Shard:
    """A part of some work.

    Attributes:
        number: i, from 1.
        count: N.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard | None":
        """`i/N`, or None for no text.

        Raises:
            SertlError: If it is something else, or i is not one of 1..N.
        """
        if not text:
            return None
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise SertlError(f"--shard {text}: expected i/N with i from 1 to N, as in 3/16")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def name(self) -> str:
        """For a file."""
        return f"{self.number}of{self.count}"

    def has(self, key: str) -> bool:
        """Whether something with this id is in it, whatever the order of all ids."""
        return derive_seed(0, "shard", key) % self.count == self.number - 1

    def takes(self, number: int) -> bool:
        """Whether it takes a numbered piece of work."""
        return number % self.count == self.number - 1
