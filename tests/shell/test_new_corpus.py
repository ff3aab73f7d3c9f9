# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""tools/new_corpus.sh: a recipe that runs at once; names that cannot be are refused."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))
from copies import copy_repository, recipe_env


def call(root, *words, cwd=None):
    return subprocess.run(
        words, cwd=cwd or root, env=recipe_env(), capture_output=True, text=True, check=False
    )


def test_a_new_recipe_runs_at_once(tmp_path):
    root = copy_repository(tmp_path / "a copy")
    for name in ("My", "1st", "a b", "../x"):
        done = call(root, "tools/new_corpus.sh", name)
        assert done.returncode == 1 and "small letters, digits and _" in done.stderr
    done = call(root, "tools/new_corpus.sh", "tones")
    assert done.returncode == 0, done.stderr
    assert "./run.sh --corpus-dir demo --upstream fbank --method linear" in done.stdout
    recipe = root / "egs/tones"
    assert "name: tones" in (recipe / "conf/corpus.yaml").read_text()
    assert "NAME" not in (recipe / "local/prepare_data.py").read_text()
    words = "./run.sh --corpus-dir demo --upstream fbank --method linear --stop-stage 2".split()
    done = call(root, *words, cwd=recipe)
    assert done.returncode == 0, done.stderr
    assert (recipe / "data/num_folds").read_text().strip() == "4"
    again = call(root, "tools/new_corpus.sh", "tones")
    assert again.returncode == 1 and "egs/tones is there already" in again.stderr
