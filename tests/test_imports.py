# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Imports go one way, s3prl and kaldiio stay in their one module, and every file imports."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Low to high; a module imports from its own layer or a lower one.
LAYERS = [
    {"errors", "log", "seed", "atomic", "fingerprint", "cli", "provenance", "config", "lock"},
    {"data"},
    {"score"},
    {"upstream", "cluster", "nn"},
    {"models"},
    {"train"},
    {"doctor"},
    {"bin"},
]
ONLY_IN = {"s3prl": "sertl/upstream/", "kaldiio": "sertl/data/ark.py"}
FILES = sorted((ROOT / "sertl").rglob("*.py"))


def layer_of(name):
    return next((i for i, names in enumerate(LAYERS) if name in names), None)


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    relative = path.relative_to(ROOT)
    own = relative.parts[1].removesuffix(".py")
    if own == "__init__":
        return
    assert layer_of(own) is not None, f"give {own} a place in LAYERS"
    for name in imported(ast.parse(path.read_text())):
        parts = name.split(".")
        if parts[0] == "sertl" and len(parts) > 1 and layer_of(parts[1]) is not None:
            assert parts[1] != "bin", f"{relative} imports a command"
            assert layer_of(parts[1]) <= layer_of(own), f"{relative} imports {name}"
        if parts[0] in ONLY_IN:
            assert str(relative).startswith(ONLY_IN[parts[0]]), f"{relative} imports {name}"
        if own == "nn":
            assert parts[0] in ("torch", "math", "collections", "dataclasses", "sertl", "copy"), (
                name
            )


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_imports(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    importlib.import_module(name)


def test_no_catch_all_file_names():
    names = {p.stem for p in FILES}
    assert not names & {"utils", "util", "common", "misc", "helpers", "new", "v2"}
