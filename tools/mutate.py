#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Change the code at random, one place at a time, and count how many changes the tests catch.

A change swaps a comparison, an operator or a boolean word, moves a number, negates a condition,
returns None, or leaves out a call. Places are drawn with equal chance from all of a folder's, the
same ones for the same seed. Each change is made in a copy of the repository; the tests of the
changed file run first, then those of its folder, then those of the folders that build on it. A
change is caught if a test fails or takes too long.

    python tools/mutate.py nn score --sample 20
"""

import argparse
import ast
import copy
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("nn", "solve", "models", "train", "score", "data", "cluster", "upstream", "peft")
USERS = {
    "nn": ["models"],
    "solve": ["models"],
    "peft": ["models"],
    "models": ["stages"],
    "train": ["stages"],
}
LEFT_OUT = {"venv", "exp", "dump", "downloads", ".git", "__pycache__", ".pytest_cache"}
SWAPS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
SILENT = ("logger", "warnings")  # whose calls say something and change nothing


@dataclass(frozen=True)
class Change:
    """One change: the file, the line, what it was and what it became."""

    path: Path
    line: int
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before}  ->  {self.after}"


def variants(node: ast.AST) -> Iterator[ast.AST]:
    """What a node may become."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield _with(node, ops=[SWAPS[type(node.ops[0])](), *node.ops[1:]])
    elif isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)) and type(node.op) in SWAPS:
        yield _with(node, op=SWAPS[type(node.op)]())
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield _with(node, value=not node.value)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield _with(node, value=_other(node.value))
    elif isinstance(node, (ast.If, ast.IfExp)):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Return) and ast.unparse(node) not in ("return", "return None"):
        yield _with(node, value=ast.Constant(None))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        if not ast.unparse(node.value.func).startswith(SILENT):
            yield ast.Pass()


def changes(path: Path) -> Iterator[Change]:
    """Every change of a file, imports, docstrings and raised messages left alone."""
    text = (ROOT / path).read_text(encoding="utf-8")
    tree = ast.parse(text)
    skipped = {id(n) for r in ast.walk(tree) if isinstance(r, ast.Raise) for n in ast.walk(r)}
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            for i, child in enumerate(value if isinstance(value, list) else [value]):
                if not isinstance(child, ast.AST) or id(child) in skipped:
                    continue
                for other in variants(child):
                    new = copy.copy(value) if isinstance(value, list) else other
                    if isinstance(value, list):
                        new[i] = ast.copy_location(other, child)
                    setattr(parent, name, new)
                    source = ast.unparse(ast.fix_missing_locations(tree))
                    setattr(parent, name, value)
                    words = [ast.unparse(node).splitlines()[0] for node in (child, other)]
                    yield Change(path, child.lineno, *words, source)


def _other(number: float) -> float:
    return number + 1 if isinstance(number, int) or not number else number * 2


def _with(node: ast.AST, **fields) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def tests_of(path: Path) -> list[list[str]]:
    """Groups of tests to run one after the other, until one fails."""
    room = Path("tests", *path.parts[1:-1])
    own = sorted(str(p.relative_to(ROOT)) for p in (ROOT / room).glob(f"test_{path.stem}*.py"))
    top = path.parts[1]
    wider = [f"tests/{name}" for name in (top, *USERS.get(top, ()))]
    return [own] * bool(own) + [[name] for name in wider if (ROOT / name).is_dir()]


def caught(change: Change, tree: Path, timeout_sec: float) -> bool:
    """Make the change in a copy of the repository, run the tests and take it back."""
    file = tree / change.path
    original = file.read_text(encoding="utf-8")
    file.write_text(change.source, encoding="utf-8")
    try:
        return any(fails(group, tree, timeout_sec) for group in tests_of(change.path))
    finally:
        file.write_text(original, encoding="utf-8")


def fails(tests: list[str], tree: Path, timeout_sec: float) -> bool:
    """Whether a test of a copy fails, or the tests take too long."""
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    env = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=tree, timeout=timeout_sec, capture_output=True, env=env)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rooms", nargs="*", default=ROOMS, help=f"default: {' '.join(ROOMS)}")
    parser.add_argument("--sample", type=int, default=20, help="changes of a folder (20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--timeout-sec", type=float, default=300.0, help="of one group of tests")
    parser.add_argument("--out", type=Path, help="a JSON line for each change, as it comes")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(args.jobs) as pool:
        trees: Queue[Path] = Queue()
        for i in range(args.jobs):
            tree = Path(folder, str(i))
            shutil.copytree(ROOT, tree, ignore=lambda _, names: LEFT_OUT & {*names}, symlinks=True)
            trees.put(tree)

        def judge(change: Change) -> tuple[Change, bool]:
            tree = trees.get()
            try:
                return change, caught(change, tree, args.timeout_sec)
            finally:
                trees.put(tree)

        for room in args.rooms:
            files = sorted((ROOT / "sertl" / room).rglob("*.py"))
            tree = trees.get()
            if fails([f"tests/{room}"], tree, args.timeout_sec):
                sys.exit(f"error: tests/{room} fail as they are, or take too long")
            trees.put(tree)
            every = [c for file in files for c in changes(file.relative_to(ROOT))]
            drawn = random.Random(args.seed).sample(every, min(args.sample, len(every)))
            hits = 0
            for change, hit in pool.map(judge, drawn):
                hits += hit
                print(f"{'caught  ' if hit else 'SURVIVED'} {change}", flush=True)
                if args.out:
                    with args.out.open("a", encoding="utf-8") as file:
                        line = {"room": room, "caught": hit, "change": str(change)}
                        file.write(json.dumps(line) + "\n")
            print(f"{room}: {hits} of {len(drawn)} caught, {len(every)} places", flush=True)


if __name__ == "__main__":
    main()
