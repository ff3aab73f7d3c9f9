# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Tensors by name from the file of a checkpoint, without running what is in it."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from sertl.errors import SertlError


def weights_in(folder: Path, names: Sequence[str]) -> Path:
    """The first of these files that a folder has.

    Raises:
        SertlError: If it has none.
    """
    file = next((folder / name for name in names if (folder / name).is_file()), None)
    if file is None:
        raise SertlError(f"{folder}: none of {', '.join(names)} in it")
    return file


def named_tensors(file: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file or a pickle, there also below its key model or state_dict.

    Raises:
        SertlError: A damaged file, or one that holds more than tensors.
    """
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, SafetensorError) as error:
        first = next(iter(str(error).splitlines()), "")
        raise SertlError(
            f"{file}: not readable as weights alone ({first}); a training checkpoint that holds "
            "objects has to be saved again with its tensors alone"
        ) from error
    for key in ("model", "state_dict"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict):
        raise SertlError(f"{file}: holds no tensors by name")
    return found
