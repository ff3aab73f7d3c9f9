# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""docs/extending.md, followed word for word: what it adds works and changes no existing file."""

import hashlib
import json
import re
import subprocess

import numpy as np
import pytest
import soundfile
from copies import ROOT, copy_repository, recipe_env

BLOCK = re.compile(
    r"(?:^`(?P<path>[^`\n]+)`\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)


def sections():
    """Title -> [(path, kind, text)] of the page's code."""
    parts = re.split(r"^## (.+)$", (ROOT / "docs/extending.md").read_text(), flags=re.M)[1:]
    return {
        title.lower(): [match.group("path", "kind", "text") for match in BLOCK.finditer(text)]
        for title, text in zip(parts[::2], parts[1::2], strict=True)
    }


def hashes(root):
    return {
        p.relative_to(root): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file() and not p.is_symlink() and "__pycache__" not in p.parts
    }


class Copy:
    """A copy of the repository, beside a folder of corpora."""

    def __init__(self, folder):
        self.root = copy_repository(folder / "sertl")
        self.corpora = folder / "corpora with a space"
        self.before = hashes(self.root)

    def follow(self, title):
        """Write the files of a section and run its commands."""
        blocks = sections()[title]
        assert blocks, title
        for path, kind, text in blocks:
            if path:
                assert not (self.root / path).exists(), f"{path} is there already"
                (self.root / path).parent.mkdir(parents=True, exist_ok=True)
                (self.root / path).write_text(text)
            elif kind == "bash":
                self.bash(text)

    def bash(self, text):
        where = str(self.corpora)
        script = re.sub(r"/corpora(/\S*)?", lambda m: f"'{where}{m[1] or ''}'", text)
        done = subprocess.run(
            ["bash", "-euc", script], cwd=self.root, env=recipe_env(), capture_output=True,
            text=True, timeout=600,
        )  # fmt: skip
        logs = sorted((self.root / "egs").glob("*/exp/*/seed*/fold*/*.log"))
        tail = "".join(f"{log}:\n{log.read_text()[-1500:]}" for log in logs[-2:])
        assert done.returncode == 0, f"{script}\n{done.stdout[-1500:]}{done.stderr[-3000:]}{tail}"


@pytest.fixture
def copy(tmp_path):
    copy = Copy(tmp_path)
    rng = np.random.default_rng(0)
    (copy.corpora / "tones").mkdir(parents=True)
    for spk in "abcde":
        for label, pitch in (("ang", 400), ("neu", 120)):
            for n in range(3):
                time = np.arange(8000) / 16000
                wave = np.sin(2 * np.pi * pitch * rng.uniform(0.9, 1.1) * time)
                noise = 0.05 * rng.normal(size=8000)
                path = copy.corpora / f"tones/{spk}_{label}_{n}.wav"
                soundfile.write(path, 0.5 * wave + noise, 16000)
    return copy


def test_the_page_word_for_word(copy):
    for title in sections():
        copy.follow(title)
    after = hashes(copy.root)
    assert {path: after.get(path) for path in copy.before} == copy.before
    # The new label was trained on, decoded and scored.
    fold = copy.root / "egs/tones/exp/fbank_adversary/seed1/fold1"
    epochs = [json.loads(line) for line in (fold / "only/log.jsonl").read_text().splitlines()]
    assert all(e["spk"] > 0 for e in epochs if e["kind"] == "train")
    room = json.loads((fold / "score_test.json").read_text())["classes"]["room"]
    assert set(room["recall"]) == {"room0", "room1"} and room["n"] == 4  # two are unknown


def test_the_page_names_every_section():
    text = (ROOT / "docs/extending.md").read_text()
    linked = {title.lower() for title in re.findall(r"^\| \[([^\]]+)\]", text, flags=re.M)}
    assert linked == set(sections())
