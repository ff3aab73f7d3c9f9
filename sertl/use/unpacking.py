# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Open the models of a packed file or folder."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sertl.errors import SertlError
from sertl.train.trained import Trained, check_encoder, rebuild
from sertl.upstream.build import entry
from sertl.use.carried import lay_out
from sertl.use.packed import Packed
from sertl.use.plain_tree import join_tensors


@contextmanager
def unpacked(
    path: str | Path,
    seeds: Sequence[int] = (),
    folds: Sequence[int] = (),
    ckpt: str | None = None,
) -> Iterator[list[Trained]]:
    """Yield the models; a packed encoder's checkpoint lies in a temporary folder meanwhile.

    Args:
        path: Packed model.
        seeds, folds: Only these.
        ckpt: The encoder's checkpoint, if it is not packed.

    Raises:
        SertlError: Damaged or foreign; another encoder; no encoder at all.
    """
    packed = Packed(path)
    members = [m for m in _members(packed) if _wanted(m, seeds, folds)]
    if not members:
        have = ", ".join(f"{m['seed']}/{m['fold']}" for m in _members(packed))
        raise SertlError(f"{path}: no such seed or fold in it; it has {have}")
    carried = packed.manifest["upstream"]
    with tempfile.TemporaryDirectory(prefix="sertl-") as folder:
        known = carried is not None and ckpt is None
        if known:
            ckpt = lay_out(packed, carried, Path(folder))
        found = []
        for member in members:
            saved = _saved(packed, member)
            if ckpt is None:
                saved = {**saved, "upstream": {**saved["upstream"]}}
                try:
                    entry(saved["upstream"])
                except SertlError as error:
                    raise SertlError(
                        f"{path} was packed without its encoder "
                        f"({packed.manifest['encoder'].get('name')}): {error}"
                    ) from error
            found.append(rebuild(saved, str(path), ckpt, known))
            if not known:
                check_encoder(saved["encoder"], found[-1].upstream, str(path))
        yield found


def _members(packed: Packed) -> list[dict]:
    members = packed.manifest["members"]
    good = isinstance(members, list) and all(
        isinstance(m, dict) and {"seed", "fold", "weights", "saved"} <= set(m) for m in members
    )
    if not good or not members:
        raise SertlError(f"{packed.path}: its members are damaged")
    return members


def _wanted(member: dict, seeds: Sequence[int], folds: Sequence[int]) -> bool:
    by_seed = not seeds or member["seed"] in {f"seed{n}" for n in seeds}
    return by_seed and (not folds or member["fold"] in {f"fold{n}" for n in folds})


def _saved(packed: Packed, member: dict) -> dict:
    """What best.pt held."""
    tensors = packed.tensors(member["weights"])
    try:
        saved = join_tensors(member["saved"], tensors)
    except KeyError as error:
        raise SertlError(f"{packed.path}: {member['weights']} lacks {error}") from error
    if not isinstance(saved, dict):
        raise SertlError(f"{packed.path}: member {member['seed']}/{member['fold']} is damaged")
    return saved
