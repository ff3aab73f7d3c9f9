# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Nested values with tensors in them as JSON beside safetensors: no pickle."""

import torch

from sertl.errors import SertlError

TENSOR, TUPLE = "$tensor", "$tuple"


def split_tensors(value: object, prefix: str = "") -> tuple[object, dict[str, torch.Tensor]]:
    """Take the tensors out of dictionaries, lists and tuples.

    Args:
        value: Of these, tensors, strings, numbers, booleans and None.
        prefix: Before the names of the tensors.

    Returns:
        What JSON can hold, and the tensors by name.

    Raises:
        SertlError: Something else.
    """
    if isinstance(value, torch.Tensor):
        # A copy: tensors that share memory cannot be stored.
        return {TENSOR: prefix}, {prefix: value.detach().cpu().clone().contiguous()}
    if value is None or isinstance(value, (str, bool, int, float)):
        return value, {}
    tensors: dict[str, torch.Tensor] = {}

    def inner(child: object, name: object) -> object:
        plain, found = split_tensors(child, f"{prefix}/{name}" if prefix else str(name))
        tensors.update(found)
        return plain

    if isinstance(value, dict) and all(isinstance(k, str) and k[:1] != "$" for k in value):
        return {k: inner(v, k) for k, v in value.items()}, tensors
    if isinstance(value, list):
        return [inner(v, n) for n, v in enumerate(value)], tensors
    if isinstance(value, tuple):
        return {TUPLE: [inner(v, n) for n, v in enumerate(value)]}, tensors
    raise SertlError(f"a {type(value).__name__} at '{prefix}' cannot be stored without pickle")


def join_tensors(value: object, tensors: dict[str, torch.Tensor]) -> object:
    """Undo split_tensors.

    Raises:
        KeyError: If a tensor is missing.
    """
    if isinstance(value, dict):
        if set(value) == {TENSOR}:
            return tensors[value[TENSOR]]
        if set(value) == {TUPLE}:
            return tuple(join_tensors(v, tensors) for v in value[TUPLE])
        return {k: join_tensors(v, tensors) for k, v in value.items()}
    if isinstance(value, list):
        return [join_tensors(v, tensors) for v in value]
    return value
