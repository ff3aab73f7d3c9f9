#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Time and memory of `sertl predict`: PyTorch with one and two processes, ONNX in float32 and int8.

Each way predicts the same recordings in a process of its own; real-time factor is seconds of audio
per second after the model is open, memory the largest of all its processes together (PSS, sampled).
With --data, the folder of folds that the experiment was trained on, each fold's model also predicts
its own test set: UA of each way, beside that of the experiment's own decoding.

Example: tools/bench/bench_use.py --model exp/linear --wavs /corpora/emodb/wav --long-hours 1 \
           --data data
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile
from machine import print_machine

from sertl.cli import run
from sertl.data.audio import SAMPLE_RATE, read_audio
from sertl.data.table import read_table

ENV = {**os.environ, "OMP_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--wavs", required=True, help="folder of short clips")
    parser.add_argument("--data", default="", help="folder of fold<k>/test")
    parser.add_argument("--long-hours", type=float, default=0.0, help="clips joined with pauses")
    args = parser.parse_args()
    wavs = sorted(Path(args.wavs).rglob("*.wav"))
    seconds = sum(soundfile.info(w).duration for w in wavs)
    print_machine()
    print(f"{len(wavs)} clips, {seconds:.0f} s")
    with tempfile.TemporaryDirectory() as folder:
        ways = export(["--model", args.model, "--folds", "1"], Path(folder))
        for name, words in ways.items():
            cold, _, _ = predict([*words, str(wavs[0])])
            took, gib, _ = predict([*words, *map(str, wavs)])
            factor = seconds / max(1e-9, took - cold)
            print(
                f"{name:<24} {factor:6.1f} x real time, {gib:.2f} GiB, cold start {cold:.2f} s",
                flush=True,
            )
        if args.long_hours:
            path, truth = long_recording(wavs, args.long_hours, Path(folder) / "long.wav")
            for name in ("torch", "onnx float32"):
                report_long(name, ways[name], path, truth)
        if args.data:
            compare_scores(args, Path(folder))


def export(base: list[str], folder: Path) -> dict[str, list[str]]:
    """Options of each way, from those of the first."""
    ways = {"torch": base, "torch, 2 processes": [*base, "--nj", "2"]}
    for name, extra in (("float32", []), ("int8", ["--int8"])):
        out = str(folder / f"{name}.onnx")
        words = [sys.executable, "-m", "sertl.bin.export", *base, "--out", out, *extra]
        print(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip())
        ways[f"onnx {name}"] = ["--model", out]
        if name == "float32":
            ways["onnx, 2 processes"] = ["--model", out, "--nj", "2"]
    return ways


def predict(words: list[str]) -> tuple[float, float, list[dict]]:
    """Seconds, GiB and rows of a run of `sertl predict`."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "sertl.bin.predict", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENV
    )
    peak = [0.0]
    watcher = threading.Thread(target=watch, args=(process, peak), daemon=True)
    watcher.start()
    text, _ = process.communicate()
    took = time.perf_counter() - begun
    watcher.join()
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    return took, peak[0], [json.loads(line) for line in text.splitlines()]


def watch(process: subprocess.Popen, peak: list[float]) -> None:
    """Sample the memory of a process and its children."""
    while process.poll() is None:
        peak[0] = max(peak[0], sum(map(pss, family(process.pid))) / 2**20)
        time.sleep(0.1)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        below = []
    return [pid, *(p for child in below for p in family(int(child)))]


def pss(pid: int) -> int:
    """KiB of a process, what it shares counted by parts."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def compare_scores(args: argparse.Namespace, folder: Path) -> None:
    """UA of every way over all folds' test sets, beside that of decoding."""
    said: dict[str, dict[str, str]] = {}
    truth: dict[str, str] = {}
    for test in sorted(Path(args.data).glob("fold*/test")):
        fold = test.parent.name.removeprefix("fold")
        truth |= read_table(test / "utt2emo")
        decoded = Path(args.model) / "seed1" / f"fold{fold}" / "decode_test" / "hyp_emo"
        said.setdefault("decode", {}).update(read_table(decoded))
        ways = export(["--model", args.model, "--folds", fold, "--seeds", "1"], folder)
        for name in ("torch", "onnx float32", "onnx int8"):
            _, _, rows = predict([*ways[name], str(test / "wav.scp")])
            said.setdefault(name, {}).update({row["utt"]: row["emo"] for row in rows})
    for name, found in said.items():
        labels = sorted(set(truth.values()))
        recalls = [np.mean([found[u] == e for u, e in truth.items() if e == one]) for one in labels]
        same = sum(found[utt] == said["decode"][utt] for utt in truth)
        print(f"{name:<24} UA {100 * np.mean(recalls):.2f}, {same} of {len(truth)} as decode")


def long_recording(
    wavs: list[Path], hours: float, out: Path
) -> tuple[Path, list[tuple[float, float]]]:
    """Clips in random order with pauses of 0.6 to 2 s, and where each lies."""
    rng, random_clips = np.random.default_rng(0), random.Random(0)
    place, truth = 0, []
    with soundfile.SoundFile(out, "w", SAMPLE_RATE, 1) as stream:
        while place < hours * 3600 * SAMPLE_RATE:
            pause = 1e-4 * rng.standard_normal(int(rng.uniform(0.6, 2.0) * SAMPLE_RATE))
            clip = read_audio(random_clips.choice(wavs))
            stream.write(pause)
            stream.write(clip)
            start = place + len(pause)
            place = start + len(clip)
            truth.append((start / SAMPLE_RATE, place / SAMPLE_RATE))
    return out, truth


def report_long(name: str, words: list[str], path: Path, truth: list[tuple[float, float]]) -> None:
    """Time, memory and cuts of a timeline."""
    took, gib, (row,) = predict([*words, "--timeline", str(path)])
    found = [(s["start"], s["end"]) for s in row["segments"]]
    whole = sum(overlaps(one, found) == 1 for one in truth)
    silent = sum(not any(a < end and start < b for a, b in truth) for start, end in found)
    speech = sum(min(b, end) - max(a, start) for a, b in truth for start, end in found
                 if a < end and start < b)  # fmt: skip
    total = sum(b - a for a, b in truth)
    print(
        f"{name}, {row['dur_sec'] / 3600:.2f} h timeline: {took:.0f} s, {gib:.2f} GiB; "
        f"{len(truth)} clips, {len(found)} segments, {whole} clips in one segment, {silent} "
        f"segments of silence, {100 * speech / total:.1f} % of speech found",
        flush=True,
    )


def overlaps(clip: tuple[float, float], found: list[tuple[float, float]]) -> int:
    """Number of segments that a clip touches."""
    return sum(clip[0] < end and start < clip[1] for start, end in found)


if __name__ == "__main__":
    run(main)
