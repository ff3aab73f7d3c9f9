#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Write tones that play the part of a corpus: <speaker>_<emotion>_<number>.wav, anger louder."""

import argparse
from pathlib import Path

import numpy as np
import soundfile

RATE, SECONDS, TAKES = 16000, 0.6, 4
SPEAKERS = {"anna": 220.0, "bert": 120.0, "cleo": 200.0, "dora": 240.0}  # pitch in Hz
EMOTIONS = {"anger": (0.5, 1.3), "joy": (0.2, 1.1)}  # level, and factor on the pitch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write to; made if missing")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    rng, time = np.random.default_rng(0), np.arange(int(RATE * SECONDS)) / RATE
    for spk, pitch in SPEAKERS.items():
        for emo, (level, factor) in EMOTIONS.items():
            for take in range(1, TAKES + 1):
                tone = np.sin(2 * np.pi * pitch * factor * (1 + 0.02 * take) * time)
                wav = level * tone + 0.01 * rng.standard_normal(len(time))
                soundfile.write(out / f"{spk}_{emo}_{take:02d}.wav", wav, RATE)


if __name__ == "__main__":
    main()
