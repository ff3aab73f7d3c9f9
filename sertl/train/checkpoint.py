# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Saving what was trained, loading it strictly, and the state that makes a resume exact.

A checkpoint holds tensors, numbers and strings only. Of the upstream it holds what training has
moved, in this phase or in one that this phase started from; the rest has its own source.
"""

import logging
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import nn

from sertl.atomic import replacing
from sertl.errors import SertlError
from sertl.run_file import RETRAIN

logger = logging.getLogger(__name__)


def trained_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """All tensors of the model except those of the upstream that are as it was released.

    `model.kept` names tensors of the upstream that do not train but came from a checkpoint: an
    earlier phase has tuned them, and a decoder that took the released ones would decode with
    another encoder than was trained with.
    """
    trainable = {n for n, p in model.named_parameters() if p.requires_grad}
    trainable |= getattr(model, "kept", frozenset())
    return {
        name: tensor.detach().cpu().clone()
        for name, tensor in model.state_dict().items()
        if not name.startswith("upstream.") or name in trainable
    }


def save(path: str | Path, value: dict) -> None:
    """torch.save under a temporary name, then rename.

    Raises:
        OSError: If the disk is full, for which torch has a RuntimeError without a name.
    """
    with replacing(path) as temporary, open(temporary, "wb") as file:
        stream = _Stream(file)
        try:
            torch.save(value, stream)
        except RuntimeError:
            if stream.error is None:
                raise
            raise stream.error from None


class _Stream:
    """A file for torch.save to write to piece by piece, which remembers why it could not."""

    def __init__(self, file: BinaryIO):
        self.file, self.error = file, None

    def write(self, data: bytes) -> int:
        return self._try(self.file.write, data)

    def flush(self) -> None:
        self._try(self.file.flush)

    def _try(self, call: Callable, *args: object) -> int | None:
        try:
            return call(*args)
        except OSError as error:
            self.error = error
            raise


def load(path: str | Path, *keys: str) -> dict:
    """Load a checkpoint of ours.

    Args:
        path: The file.
        keys: What it must hold.

    Raises:
        SertlError: If it is missing, damaged, or not one of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise SertlError(f"{path}: no such checkpoint; run the phase that makes it first")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen types for a damaged file, at some length
        why = f"{type(error).__name__}: {error}".splitlines()[0][:150]
        raise SertlError(f"{path}: damaged checkpoint ({why}); {RETRAIN}") from error
    lacks = [key for key in keys if not isinstance(found, dict) or key not in found]
    if lacks:
        raise SertlError(f"{path}: not a checkpoint of sertl, it lacks {lacks[0]}; {RETRAIN}")
    for key in {"model", "start"} & {*keys}:
        state = found[key]
        if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
            raise SertlError(f"{path}: not a checkpoint of sertl, {key} is no state; {RETRAIN}")
    return found


def load_trained(model: nn.Module, state: dict[str, torch.Tensor], source: str) -> None:
    """Load trained_state into the same model; every tensor must be there and fit.

    Raises:
        SertlError: Naming missing, unexpected and misshapen tensors.
    """
    own = model.state_dict()
    expected = trained_state(model).keys()
    missing = sorted(expected - state.keys())
    extra = sorted(state.keys() - own.keys())
    shapes = [n for n in state.keys() & own.keys() if state[n].shape != own[n].shape]
    if missing or extra or shapes:
        raise SertlError(
            f"{source} does not fit the model: missing {missing[:5]}, unexpected {extra[:5]}, "
            f"other shapes {shapes[:5]}"
        )
    model.load_state_dict(state, strict=False)  # the rest of the upstream has its own source
    keep(model, state)


def init_from(
    model: nn.Module,
    state: dict[str, torch.Tensor],
    source: str,
    renamed: dict[str, str] | None = None,
    only: Sequence[str] = (),
) -> dict[str, int]:
    """Start a phase from an earlier one: load what both have, and say what was not.

    Args:
        model: The phase's model.
        state: trained_state of the earlier one.
        source: Named in errors.
        renamed: Module of this model -> module of the earlier one that it starts from, as in
            {"wap": "teacher"}; one that is named must fit completely.
        only: Modules of this model that start from there, as in ["upstream"]; all, if empty.

    Returns:
        Number of tensors loaded, created (only here) and dropped (only there).

    Raises:
        SertlError: If nothing was loaded, a tensor of the same name has another shape, a module
            does not fit, or trained tensors of the encoder have no place here.
    """
    own = model.state_dict()
    for here, there in (renamed or {}).items():
        state = _rename(own, state, source, here, there)
    shared = _shared(own, state, source, only)
    # Whoever names what is taken means all else to be new.
    for here, there in twins(own, state, shared) if not only else ():
        logger.warning(
            "%s starts from random weights, though '%s' of %s has the same tensors; "
            "init.map.%s=%s would take these",
            *(here, there, source, here, there),
        )
    model.load_state_dict({n: state[n] for n in shared}, strict=False)
    keep(model, shared)
    fresh = [n for n in trained_state(model) if n not in shared]
    counts = {"loaded": len(shared), "created": len(fresh), "dropped": len(state.keys() - shared)}
    logger.info("init from %s: %s", source, counts)
    return counts


def _shared(own: dict, state: dict, source: str, only: Sequence[str]) -> set[str]:
    """Names of the tensors that a model takes from a state; SertlError as init_from."""
    shared = state.keys() & own.keys()
    lost = {n for n in state.keys() - own.keys() if n.startswith("upstream.")}
    if lost and (not only or "upstream" in only):
        raise SertlError(
            f"init from {source}: its encoder has trained tensors that this phase's lacks, e.g. "
            f"{min(lost)}; put the same upstream_conf.peft in"
        )
    for word in only:
        if not any(name.startswith(f"{word}.") for name in shared):
            raise SertlError(f"init.only: {source} and this model share nothing of '{word}'")
    if only:
        shared = {name for name in shared if name.startswith(tuple(f"{p}." for p in only))}
    shapes = [
        f"{n} {tuple(state[n].shape)} -> {tuple(own[n].shape)}"
        for n in shared
        if state[n].shape != own[n].shape
    ]
    if shapes:
        raise SertlError(f"init from {source}: shapes differ: {sorted(shapes)[:5]}")
    if not shared:
        raise SertlError(
            f"init from {source} would load nothing: it holds {sorted(state)[:5]} …, "
            f"the model {sorted(own)[:5]} …"
        )
    return shared


def twins(own: dict, state: dict, shared: Iterable[str]) -> list[tuple[str, str]]:
    """Modules of a model that get nothing, each with one of the state that has the same tensors."""

    def modules(tensors: dict) -> dict[str, dict[str, torch.Size]]:
        found: dict[str, dict[str, torch.Size]] = {}
        for name, tensor in tensors.items():
            module, _, rest = name.partition(".")
            found.setdefault(module, {})[rest] = tensor.shape
        return found

    served = {name.partition(".")[0] for name in shared}
    theirs = modules(state)
    return [
        (here, there)
        for here, tensors in modules(own).items()
        if here not in served
        for there in theirs
        if there not in served and theirs[there] == tensors
    ]


def keep(model: nn.Module, names: Iterable[str]) -> None:
    """Note which tensors of the upstream have come from a checkpoint, for trained_state."""
    model.kept = getattr(model, "kept", frozenset()) | {
        name for name in names if name.startswith("upstream.")
    }


def _rename(own: dict, state: dict, source: str, here: str, there: str) -> dict:
    """The state with its module `there` under the name `here`."""
    moved = {
        f"{here}.{n.removeprefix(there + '.')}": t
        for n, t in state.items()
        if n.startswith(f"{there}.")
    }
    wanted = {n for n in own if n.startswith(f"{here}.")}
    if not wanted or moved.keys() != wanted:
        raise SertlError(
            f"init.map {here}: {there} of {source}: the two hold different tensors; only in "
            f"this model: {sorted(wanted - moved.keys())[:5]}, only there: "
            f"{sorted(moved.keys() - wanted)[:5]}"
        )
    rest = {n: t for n, t in state.items() if not n.startswith((f"{here}.", f"{there}."))}
    return {**rest, **moved}


def random_state(device: torch.device) -> dict:
    """State of the global generators, the device's among them, as tensors and plain values."""
    version, internal, gauss = random.getstate()
    name, keys, pos, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    state = {
        "python": [version, list(internal), gauss],
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), pos, has_gauss, cached],
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict, device: torch.device) -> None:
    """Undo random_state."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, pos, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), pos, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
