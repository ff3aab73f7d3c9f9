# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A grid: corpora x encoders x methods, each cell one call of a recipe's run.sh."""

import itertools
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sertl.errors import SertlError, unknown_name

OWN = (
    *("--stage", "--stop-stage", "--tag", "--cluster", "--cluster-set", "--list-jobs", "--redo"),
    *("--seed", "--nj", "--ngpu", "--shard", "--upstream", "--method"),
)


@dataclass(frozen=True)
class Choice:
    """One corpus, encoder or method of a grid.

    Attributes:
        label: In tags.
        name: A folder of egs, a file of conf/upstream or of conf/method.
        options: Of run.sh, that go with it.
    """

    label: str
    name: str
    options: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, what: str) -> "Choice":
        """[LABEL=]NAME [options of run.sh].

        Raises:
            SertlError: No name; options that the grid gives itself.
        """
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise SertlError(f"--{what} {text!r}: {error}") from error
        if not words or words[0].startswith("-"):
            raise SertlError(f"--{what} {text!r}: first its name, then options of run.sh")
        label, _, name = words[0].rpartition("=")
        check_options(words[1:], f"--{what} {text!r}")
        return cls((label or name).replace("/", "-"), name, tuple(words[1:]))


@dataclass(frozen=True)
class Cell:
    """One experiment of a grid.

    Attributes:
        folder: The recipe's.
        tag: Below its exp/.
        options: Of run.sh.
    """

    folder: Path
    tag: str
    options: tuple[str, ...]


def cells_of(
    egs: Path,
    name: str,
    corpora: Sequence[Choice],
    upstreams: Sequence[Choice],
    methods: Sequence[Choice],
    common: Sequence[str],
) -> list[Cell]:
    """Every cell, corpus after corpus and encoder after encoder.

    Args:
        egs: Folder of the recipes.
        name: Beginning of the tags.
        corpora: Recipes.
        upstreams: Encoders.
        methods: Methods.
        common: Options of every cell's run.sh.

    Raises:
        SertlError: A recipe that is not there; two choices of one label.
    """
    check_options(common, "--options")
    for what, choices in (("corpus", corpora), ("upstream", upstreams), ("method", methods)):
        twice = [label for label, n in Counter(c.label for c in choices).items() if n > 1]
        if twice:
            raise SertlError(
                f"--{what} {twice[0]} is there twice: name one, as in LABEL={twice[0]}"
            )
    recipes = {path.parent.name for path in egs.glob("*/run.sh")}
    for corpus in corpora:
        if corpus.name not in recipes:
            raise unknown_name("recipe", corpus.name, recipes)
    found = []
    for corpus, upstream, method in itertools.product(corpora, upstreams, methods):
        own = "" if corpus.label == corpus.name else f"{corpus.label}_"
        tag = f"{name}_{own}{upstream.label}_{method.label}"
        options = ("--upstream", upstream.name, "--method", method.name, "--tag", tag)
        options += (*corpus.options, *upstream.options, *method.options, *common)
        found.append(Cell(egs / corpus.name, tag, options))
    return found


def check_options(words: Sequence[str], where: str) -> None:
    """Refuse options of run.sh that a grid gives itself.

    Raises:
        SertlError: Naming the first.
    """
    for word in words:
        if word.partition("=")[0] in OWN:
            raise SertlError(f"{where}: {word} is not a cell's own; the grid gives it")
