# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Kills at random moments of whole runs: the same command goes on, and no number changes.

Two runs of a corpus of noise through all stages: `probe` on dumped features, and `finetune` of a
tiny encoder with a state saved at every update, for which two groups of speakers choose update and
lambda. Each is run to its end once; then again and again in a fresh folder, with SIGKILL or SIGTERM
to run.sh or to everything it started after a random time, until it ends by itself. Predictions,
scores and logs must be those of the whole run, and nothing may be left over or still running.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/recipes")]

from copies import copy_repository, recipe_env  # noqa: E402

PREPARE = '''"""Noise: <spk>_<label>_<n>.wav."""

from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import Utterance
from sertl.data.prepare import prepare_command


def read(folder):
    for path in sorted(Path(folder).glob("*.wav")):
        spk, label, _ = path.stem.split("_")
        yield Utterance(f"{spk}-{path.stem}", spk, str(path.resolve()), 0.0, emo=label)


def main():
    prepare_command(__doc__, lambda args: read(args.corpus_dir))


if __name__ == "__main__":
    run(main)
'''
CORPUS = "name: noise\nrelease: '1'\nlanguage: none\nlicence: none\ncite: none\nlabels: [a, b]\n"
FINETUNE = [
    *("--method", "finetune", "--speaker-norm", "online", "--set", "optim_conf.updates=4"),
    *("optim_conf.eval_updates=2", "optim_conf.save_updates=1", "select_conf.folds=2"),
]
RUNS = {
    "probe": ["--folds", "1 2", "--method", "probe", "--set", "optim_conf.epochs=4"],
    "finetune": ["--folds", "1 2", *FINETUNE],
    "one_fold": ["--folds", "1", *FINETUNE],
}
TIMES = ("sec", "seconds", "peak", "wait", "environment", "begun", "gib", "commit", "mib")


def recipe(folder: Path) -> Path:
    """A copy of the repository with a recipe `noise`, its corpus and a tiny encoder."""
    import numpy as np
    import soundfile

    from sertl.upstream.tiny import save_hubert

    home = copy_repository(folder / "sertl") / "egs/noise"
    (home / "local").mkdir(parents=True)
    (home / "conf").mkdir()
    (home / "run.sh").symlink_to("../iemocap/run.sh")
    (home / "local/prepare_data.py").write_text(PREPARE)
    (home / "conf/corpus.yaml").write_text(CORPUS)
    rng = np.random.default_rng(0)
    wavs = folder / "wavs"
    wavs.mkdir()
    for name in (f"{spk}_{label}_{n}" for spk in "stuv" for label in "ab" for n in range(4)):
        wav = 0.1 * rng.standard_normal(5000 + rng.integers(4000))
        soundfile.write(wavs / f"{name}.wav", wav, 16000)
    save_hubert(folder / "tiny.pt")
    return home


def command(home: Path, name: str) -> list[str]:
    wavs, ckpt = home.parents[2] / "wavs", home.parents[2] / "tiny.pt"
    return [
        *("./run.sh", "--corpus-dir", str(wavs), "--upstream", "tiny_hubert"),
        *("--ckpt", str(ckpt), "--nj", "2", "--tag", name, *RUNS[name]),
    ]


def start(home: Path, name: str) -> subprocess.Popen:
    """run.sh in a session of its own, heeding signals, its output in a file."""
    log = open(home / f"{name}.log", "a")

    def heed() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)

    return subprocess.Popen(
        command(home, name), cwd=home, env=recipe_env(), stdout=log, stderr=log,
        start_new_session=True, preexec_fn=heed,
    )  # fmt: skip


def numbers(home: Path, name: str) -> dict[str, object]:
    """What must be the same however often a run was killed."""
    exp, found = home / "exp" / name, {}
    for path in sorted(exp.rglob("*")):
        key = str(path.relative_to(exp))
        if path.name.startswith(("hyp_", "score_")) or path.name in ("labels", "results.json"):
            found[key] = path.read_text()
        elif path.name in ("run.json", "results.json"):
            found[key] = without_times(json.loads(path.read_text()))
        elif path.name == "log.jsonl":
            found[key] = [without_times(json.loads(line)) for line in path.read_text().splitlines()]
    return {k: without_times(json.loads(v)) if k == "results.json" else v for k, v in found.items()}


def without_times(value: object) -> object:
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if not any(t in k for t in TIMES)}
    if isinstance(value, list):
        return [without_times(v) for v in value]
    return value


def leftovers(home: Path) -> list[str]:
    """Temporary files, and processes that are still at work in the folder."""
    found = [str(p) for p in home.rglob(".*") if ".tmp" in p.name]
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            where = os.readlink(proc / "cwd")
            word = (proc / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if where == str(home) and int(proc.name) != os.getpid():
            found.append(f"process {proc.name}: {word}")
    return found


def clean(home: Path, name: str) -> None:
    for folder in ("data", "dump"):
        shutil.rmtree(home / folder, ignore_errors=True)
    shutil.rmtree(home / "exp" / name, ignore_errors=True)


def until_done(home: Path, name: str, rng: random.Random, longest: float, most: int) -> int:
    """Kill a run at random moments, at most so often, then let it end; returns the kills made."""
    kills = 0
    while True:
        process = start(home, name)
        if kills == most:
            if process.wait(timeout=600):
                raise RuntimeError((home / f"{name}.log").read_text()[-2000:])
            return kills
        how = rng.choice(["term", "kill", "kill all", "kill all"])
        try:
            status = process.wait(timeout=rng.uniform(0.3, longest))
            if status:
                raise RuntimeError((home / f"{name}.log").read_text()[-2000:])
            return kills
        except subprocess.TimeoutExpired:
            kills += 1
            if how == "term":
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=60)
            elif how == "kill":
                process.kill()
                process.wait()
            else:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if how == "kill":  # of run.sh alone: what it started goes on, or has to be waited for
            wait_for_others(home)
        elif left := [x for x in leftovers(home) if x.startswith("process")]:
            time.sleep(1.0)
            if left := [x for x in leftovers(home) if x.startswith("process")]:
                raise RuntimeError(f"still running after {how}: {left}")


def wait_for_others(home: Path) -> None:
    end = time.monotonic() + 120
    while any(x.startswith("process") for x in leftovers(home)):
        if time.monotonic() > end:
            raise RuntimeError(f"still running: {leftovers(home)}")
        time.sleep(0.1)


def campaign(
    folder: Path, wanted: int, rng: random.Random, names: tuple = ("probe", "finetune")
) -> int:
    """Exit status: 1 if a number changed or anything was left."""
    home = recipe(folder)
    bad = kills = rounds = 0
    right, longest = {}, {}
    for name in names:
        begun = time.monotonic()
        until_done(home, name, rng, 600.0, 0)
        longest[name] = time.monotonic() - begun
        right[name] = numbers(home, name)
        clean(home, name)
    while kills < wanted:
        name = rng.choice(names)
        rounds += 1
        try:
            kills += until_done(home, name, rng, 0.4 * longest[name], min(12, wanted - kills))
            found = numbers(home, name)
            changed = [k for k in {*found} | {*right[name]} if found.get(k) != right[name].get(k)]
            left = leftovers(home)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            changed, left = [str(error)], []
        if changed or left:
            bad += 1
            print(f"{name}, round {rounds}: changed {changed[:3]}, left {left[:3]}", flush=True)
        print(f"{kills} kills, {rounds} rounds, {bad} bad", flush=True)
        clean(home, name)
    return int(bad > 0)
