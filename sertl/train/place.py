# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Where one fold and seed of an experiment reads and writes."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from sertl.data.datadir import DataDir, read_data_dir
from sertl.errors import SertlError


@dataclass(frozen=True)
class Place:
    """Where a run reads and writes.

    Attributes:
        exp: `exp/<tag>`, which holds config.yaml.
        data: Folder of the folds: `data`, or `data/<policy>/<protocol>`.
        dump: `dump/<upstream>`, for input `feats`.
        fold: 1-based.
        seed: The run's seed.
    """

    exp: Path
    data: Path
    dump: Path
    fold: int
    seed: int

    @property
    def fold_dir(self) -> Path:
        """The fold's data: train, dev, test, protocol.json."""
        return self.data / f"fold{self.fold}"

    @property
    def folder(self) -> Path:
        """Where this fold and seed write."""
        return self.exp / f"seed{self.seed}" / f"fold{self.fold}"

    def part(self, name: str) -> DataDir:
        """Read train, dev or test of the fold."""
        if not (self.fold_dir / name).is_dir():
            raise SertlError(f"{self.fold_dir / name}: no such folder; run stage 2 first")
        return read_data_dir(self.fold_dir / name)


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a Place, and those that go with it, to a command."""
    parser.add_argument("--exp", required=True, type=Path, help="exp/<tag>, with config.yaml")
    parser.add_argument("--data", required=True, type=Path, help="folder of the fold<k> folders")
    parser.add_argument("--dump", required=True, type=Path, help="dump/<upstream>, from stage 3")
    parser.add_argument("--fold", required=True, type=int, help="1-based number of the fold")
    parser.add_argument("--seed", default=1, type=int, help="default: %(default)s")
    parser.add_argument("--ngpu", default=0, type=int, help="0: CPU (default: %(default)s)")
    parser.add_argument("--redo", action="store_true", help="delete what is there and start again")


def place_of(args: argparse.Namespace) -> Place:
    """The Place that parsed options name."""
    return Place(args.exp, args.data, args.dump, args.fold, args.seed)
