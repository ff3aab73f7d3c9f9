# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Which trained models a path means: an experiment's folds and seeds, a fold, or a phase."""

from collections.abc import Sequence
from pathlib import Path

from sertl import fingerprint
from sertl.config import phase_names
from sertl.errors import SertlError
from sertl.train.trained import BEST


def find_members(
    path: str | Path, seeds: Sequence[int] = (), folds: Sequence[int] = ()
) -> list[Path]:
    """Folders of the phases to predict with, in the order of seeds and folds.

    Args:
        path: exp/<tag>, exp/<tag>/seed<s>/fold<k>, or a phase's folder in there.
        seeds, folds: Of an experiment, only these; empty for all that are trained.

    Raises:
        SertlError: None of that kind is there, or one that was asked for is not trained.
    """
    path = Path(path)
    if not path.exists():
        raise SertlError(f"{path}: no such file or folder")
    if (path / BEST).is_file():
        fingerprint.require_done(path, "stage 6 (train)")
        return [path]
    exp = experiment_of(path)
    phase = phase_names(exp)[-1]
    runs = [path] if path != exp else sorted(exp.glob("seed*/fold*"), key=_numbers)
    found = {}
    for run in runs:
        done = fingerprint.read_fingerprint(run / phase)
        if done is not None and done["state"] == "done" and (run / phase / BEST).is_file():
            found[_numbers(run)] = run / phase
    wanted = [n for n in found if (not seeds or n[0] in seeds) and (not folds or n[1] in folds)]
    for name, asked, place in (("seed", seeds, 0), ("fold", folds, 1)):
        missing = [n for n in asked if n not in {w[place] for w in wanted}]
        if missing:
            raise SertlError(f"{exp}: {name} {missing[0]} is not trained")
    if not wanted:
        raise SertlError(f"{path}: no run of phase '{phase}' is finished; run stage 6")
    return [found[n] for n in wanted]


def experiment_of(path: str | Path) -> Path:
    """The experiment's folder of a path in it.

    Raises:
        SertlError: There is none.
    """
    path = Path(path)
    for folder in (path, *path.parents):
        if (folder / "config.yaml").is_file():
            return folder
    raise SertlError(
        f"{path}: no trained model; expected an experiment (exp/<tag>, with config.yaml), a fold "
        f"of one, a phase's folder with {BEST}, or a packed model"
    )


def _numbers(run: Path) -> tuple[int, int]:
    """Seed and fold of …/seed<s>/fold<k>."""
    seed, fold = run.parent.name.removeprefix("seed"), run.name.removeprefix("fold")
    if not (seed.isdecimal() and fold.isdecimal()):
        raise SertlError(f"{run} is no run: expected …/seed<s>/fold<k>")
    return int(seed), int(fold)
