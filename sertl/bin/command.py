# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The console command: `sertl predict …` is `python -m sertl.bin.predict …`.

sertl --help            what there is
sertl predict --help    the options of one
"""

import ast
import runpy
import sys
from pathlib import Path

from sertl import __version__
from sertl.cli import run
from sertl.errors import unknown_name

USERS = (
    "predict",
    "listen",
    "pack",
    "export",
    "demo",
    "serve",
    "layers",
    "compare",
    "status",
    "doctor",
)


def main() -> None:
    """Run the module that the first word names."""
    names = commands()
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(usage(names))
        return
    if words[0] == "--version":
        print(__version__)
        return
    name = words[0].replace("-", "_")
    if name not in names:
        raise unknown_name("command", words[0], names)
    sys.argv = [f"sertl {words[0]}", *words[1:]]
    runpy.run_module(f"sertl.bin.{name}", run_name="__main__")


def console() -> None:
    """Entry point of the installed script."""
    run(main)


def commands() -> dict[str, str]:
    """Names of the modules beside this one, each with the first line of its docstring."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in ("__init__", "command"):
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            found[path.stem] = text.partition("\n")[0]
    return found


def usage(names: dict[str, str]) -> str:
    """Help: first what is made for users of trained models, then the recipes' stages."""
    ours = [name for name in USERS if name in names]
    rest = [name for name in names if name not in ours]
    lines = [__doc__.partition("\n")[0], "", "With trained models and results:"]
    lines += [f"  {name:<18} {names[name]}" for name in ours]
    lines += ["", "Stages of recipes and single steps:"]
    lines += [f"  {name:<18} {names[name]}" for name in rest]
    return "\n".join(lines)


if __name__ == "__main__":
    console()
