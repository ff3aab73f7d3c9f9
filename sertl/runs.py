# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""One run: an experiment, a seed and a fold, and the paths that belong to it."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sertl.errors import SertlError

PSEUDO_LABELS = "pseudo_labels"  # in a run's folder, as a phase's
DIAGNOSTICS = "diagnostics.json"  # in a phase's folder: entries that report/diagnostics.py draws


@dataclass(frozen=True, order=True)
class Run:
    """What is trained, decoded and scored together, in exp/<tag>/seed<s>/fold<k>.

    Attributes:
        exp: exp/<tag>, which holds config.yaml.
        seed: Of everything random.
        fold: From 1.
    """

    exp: Path
    seed: int
    fold: int

    @classmethod
    def of(cls, folder: Path) -> "Run | None":
        """The run whose folder this is; None if it is the folder of none."""
        match = re.fullmatch(r"seed(\d+)/fold(\d+)", "/".join(folder.parts[-2:]))
        return match and cls(folder.parents[1], int(match[1]), int(match[2]))

    @property
    def folder(self) -> Path:
        """Where it writes."""
        return self.exp / f"seed{self.seed}" / f"fold{self.fold}"

    def phase(self, name: str) -> Path:
        """The folder of a phase, or of the frame pseudo-labels."""
        return self.folder / name

    def decoded(self, set_name: str) -> Path:
        """What stage 7 wrote of a set."""
        return self.folder / f"decode_{set_name}"

    def scored(self, set_name: str) -> Path:
        """What stage 8 wrote of a set."""
        return self.folder / f"score_{set_name}.json"

    def __str__(self) -> str:
        return f"seed {self.seed}, fold {self.fold}"


def find_runs(exp: str | Path, folds: Sequence[int] = (), seeds: Sequence[int] = ()) -> list[Run]:
    """Runs of an experiment, by seed and then fold.

    Args:
        exp: exp/<tag>.
        folds: Only these; all that are there if empty.
        seeds: Likewise.

    Raises:
        SertlError: If there is none, or one that is asked for is missing.
    """
    exp = Path(exp)
    if not exp.is_dir():
        raise SertlError(f"{exp}: no such experiment; run stage 6 (train), or check --exp")
    there = [run for path in exp.glob("seed*/fold*") if path.is_dir() and (run := Run.of(path))]
    wanted_seeds = list(seeds) or sorted({run.seed for run in there})
    found = {(run.seed, run.fold) for run in there}
    missing = [f"seed{s}/fold{k}" for s in wanted_seeds for k in folds if (s, k) not in found]
    if not folds:
        missing = [f"seed{s}" for s in wanted_seeds if not any(s == seed for seed, _ in found)]
    if missing or not there:
        raise SertlError(
            f"{exp} lacks {', '.join(missing) or 'seed<s>/fold<k> folders'}; run stage 6 (train) "
            "and 7 (decode) for them"
        )
    return sorted(r for r in there if r.seed in wanted_seeds and (not folds or r.fold in folds))


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a run, and those that go with it, to a command."""
    parser.add_argument("--exp", required=True, type=Path, help="exp/<tag>, with config.yaml")
    parser.add_argument(
        "--fold", required=True, type=int, nargs="+", help="1-based numbers of folds"
    )
    parser.add_argument("--seed", default=1, type=int, help="default: %(default)s")
    parser.add_argument("--ngpu", default=0, type=int, help="0: CPU (default: %(default)s)")
    parser.add_argument("--redo", action="store_true", help="delete what is there and start again")


def runs_of(args: argparse.Namespace) -> list[Run]:
    """The runs that parsed options name."""
    return [Run(args.exp, args.seed, fold) for fold in args.fold]
