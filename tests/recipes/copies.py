# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A copy of the repository to run recipes in, so that tests leave nothing in the checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("conf", "egs", "sertl", "tools", "path.sh", "setup.py")
UNWANTED = ("venv", "data", "dump", "exp", "downloads", "__pycache__")


def copy_repository(target: Path) -> Path:
    """Copy what a recipe needs; generated folders of the recipes stay behind."""

    def unwanted(folder, names):
        relative = Path(folder).relative_to(ROOT).parts
        generated = len(relative) == 2 and relative[0] == "egs"
        return [
            n for n in names
            if n in ("__pycache__", "venv") or (generated and n in UNWANTED)
        ]  # fmt: skip

    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, target / part, symlinks=True, ignore=unwanted)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / part)
    return target


def recipe_env() -> dict:
    """The environment of a recipe: the Python that runs the tests comes first on the PATH.

    The copy keeps its bytecode, whatever is said of the checkout's: hundreds of processes start.
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    unwanted = ("PYTHONPATH", "SERTL_ROOT", "PYTHONDONTWRITEBYTECODE")
    env = {k: v for k, v in os.environ.items() if k not in unwanted}
    return {**env, "PATH": path, "OMP_NUM_THREADS": "1"}


class Recipe:
    """One recipe folder; call it with run.sh's options."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self, *args: str, ok: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run(
            ["./run.sh", *args], cwd=self.folder, env=recipe_env(), capture_output=True, text=True,
            timeout=600,
        )  # fmt: skip
        if ok and done.returncode != 0:
            logs = sorted(self.folder.glob("exp/*/seed*/fold*/*.log"))
            tails = "\n".join(f"{log}:\n{log.read_text()[-1500:]}" for log in logs[-2:])
            pytest.fail(
                f"run.sh {' '.join(args)}\n{done.stdout[-1500:]}{done.stderr[-3000:]}{tails}"
            )
        return done
