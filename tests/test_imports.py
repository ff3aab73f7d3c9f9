# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Imports go one way, s3prl and kaldiio stay in their one module, and every file imports."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Low to high; a module imports from its own layer or a lower one.
LAYERS = [
    {"errors", "log", "seed", "atomic", "cli", "provenance", "lock", "shard", "yaml_text"},
    {"schema"},
    {"config", "run_file", "fingerprint"},
    {"registry", "runs"},
    {"data"},
    {"finished"},
    {"score"},
    {"upstream", "cluster", "nn"},
    {"solve"},
    {"peft"},
    {"models"},
    {"train"},
    {"use"},
    {"export", "serve"},
    {"stages"},
    {"report"},
    {"jobs"},
    {"doctor"},
    {"bin"},
]
ONLY_IN = {"s3prl": "sertl/upstream/", "kaldiio": "sertl/data/ark.py"}
LONGEST = 60  # lines of a function, its docstring included
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
            assert parts[0] in (
                "torch",
                "math",
                "collections",
                "dataclasses",
                "sertl",
                "copy",
                "re",
                "typing",
                "pydantic",
            ), name


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_imports(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    importlib.import_module(name)


def test_no_catch_all_file_names():
    names = {p.stem for p in FILES}
    assert not names & {"utils", "util", "common", "misc", "helpers", "new", "v2"}


def test_no_two_modules_share_a_name():
    """A file is found by its name alone; only a command may be called like what it runs."""
    names = [p.stem for p in FILES if p.stem != "__init__" and p.parent.name != "bin"]
    assert sorted({n for n in names if names.count(n) > 1}) == []


def test_tests_mirror_the_package():
    """`tests/<room>/test_<module>[_aspect].py` tests `sertl/<room>/<module>.py`."""
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        room = test.parent.relative_to(ROOT / "tests")
        if room.parts and room.parts[0] in ("shell", "recipes", "egs", "campaign"):
            continue  # of run.sh, scripts, whole recipes, corpora's stages, damage and kills
        modules = {p.stem for p in (ROOT / "sertl" / room).iterdir()} | {room.name}
        name = test.stem.removeprefix("test_")
        of_one = any(name == m or name.startswith(f"{m}_") for m in modules)
        assert of_one or name == "imports", f"{test.relative_to(ROOT)} tests which file?"


def test_functions_stay_short():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                length = node.end_lineno - node.lineno + 1
                assert length <= LONGEST, (
                    f"{path.relative_to(ROOT)}: {node.name} has {length} lines"
                )


def test_training_and_scoring_draw_nothing():
    """The report reads what the stages wrote: no stage before it imports its room or its plots."""
    code = (
        "import importlib, pkgutil, sys\n"
        "import sertl.stages, sertl.score, sertl.train, sertl.models\n"
        "for room in (sertl.stages, sertl.score, sertl.train, sertl.models):\n"
        "    for m in pkgutil.walk_packages(room.__path__, room.__name__ + '.'):\n"
        "        importlib.import_module(m.name)\n"
        "print([m for m in sys.modules if m.split('.')[0] == 'matplotlib' or m == 'sertl.report'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
