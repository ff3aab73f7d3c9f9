#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Synthesise the mini corpus: 320 short utterances, 8 voices, 4 sessions, 4 emotions, 2 styles.

OUT/wav/<speaker>/<utt>.wav   16 kHz, 16 bit, mono
OUT/metadata.tsv              one line per utterance, with its labels
OUT/sha256sums                `sha256sum -c` of all of it
"""

import argparse
import csv
import hashlib
import io
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from espeak import SAMPLE_RATE, Espeak
from rendering import Rendering, Voice, render
from sentences import SCRIPT, improvise

from sertl import fingerprint
from sertl.atomic import write_text
from sertl.cli import run
from sertl.errors import SertlError

logger = logging.getLogger(__name__)

VERSION = 1  # raise it when the same seed gives other samples or labels

# Session s has the speakers sF and sM.
SPEAKERS = {
    "1F": Voice("en-us+f1", "f", pitch=52, rate_wpm=190),
    "1M": Voice("en-us+m1", "m", pitch=46, rate_wpm=185),
    "2F": Voice("en-gb-scotland+f2", "f", pitch=48, rate_wpm=195),
    "2M": Voice("en-gb-x-rp+m3", "m", pitch=50, rate_wpm=190),
    "3F": Voice("en-us-nyc+f3", "f", pitch=50, rate_wpm=185),
    "3M": Voice("en-029+m4", "m", pitch=52, rate_wpm=195),
    "4F": Voice("en-gb-x-gbcwmd+f4", "f", pitch=46, rate_wpm=190),
    "4M": Voice("en-us+m7", "m", pitch=48, rate_wpm=180),
}
EMOTIONS = ("ang", "hap", "neu", "sad")
STYLES = ("scripted", "improvised")
PER_CELL = len(SCRIPT)  # utterances per speaker, emotion and style

COLUMNS = ("utt", "spk", "gender", "session", "emotion", "style", "text")
VAD_COLUMNS = ("valence", "arousal", "dominance")


@dataclass(frozen=True)
class Line:
    """One utterance to be spoken."""

    utt: str
    spk: str
    emotion: str
    style: str
    text: str
    rendering: Rendering


def plan(seed: int) -> list[Line]:
    """Decide what is said, by whom and how; depends on the seed alone."""
    rng = np.random.default_rng(seed)
    lines = []
    for spk, voice in SPEAKERS.items():
        for style in STYLES:
            cells = [(emotion, k) for emotion in EMOTIONS for k in range(PER_CELL)]
            rng.shuffle(cells)  # numbers must not give the emotion away
            for number, (emotion, k) in enumerate(cells):
                k = int(k)
                text = SCRIPT[k] if style == "scripted" else improvise(rng)
                utt = f"{spk}_{style[0]}{number:02d}"
                lines.append(Line(utt, spk, emotion, style, text, render(emotion, voice, rng)))
    return lines


def metadata(lines: list[Line]) -> str:
    """The table of labels, tab-separated with a header."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS + VAD_COLUMNS)
    for x in lines:
        labels = (x.utt, x.spk, SPEAKERS[x.spk].gender, f"session{x.spk[0]}", x.emotion, x.style)
        writer.writerow((*labels, x.text, *x.rendering.vad))
    return stream.getvalue()


def make_corpus(out: Path, seed: int, redo: bool) -> None:
    """Write the corpus to out, unless it is there, whole and from the same seed.

    Raises:
        SertlError: If out holds a corpus of another seed or version, or a changed file.
    """
    espeak = Espeak()
    inputs = {"corpus": "mini", "version": VERSION, "seed": seed, "espeak": espeak.version}
    if fingerprint.begin(out, inputs, redo) is fingerprint.Progress.DONE:
        _verify(out)
        logger.info("%s is complete already, nothing to do", out)
        return
    lines = plan(seed)
    for x in lines:
        r = x.rendering
        voice = SPEAKERS[x.spk].name
        wav = espeak.say(x.text, voice, r.rate_wpm, r.pitch, r.pitch_range, r.volume)
        path = out / "wav" / x.spk / f"{x.utt}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wav, SAMPLE_RATE, subtype="PCM_16")
    write_text(out / "metadata.tsv", metadata(lines))
    files = sorted(
        str(p.relative_to(out)) for p in (*out.glob("wav/*/*.wav"), out / "metadata.tsv")
    )
    write_text(out / "sha256sums", "".join(f"{_sha256(out / f)}  {f}\n" for f in files))
    fingerprint.finish(out)
    logger.info("%s: %d utterances of %d speakers", out, len(lines), len(SPEAKERS))


def _verify(out: Path) -> None:
    bad = []
    for line in (out / "sha256sums").read_text(encoding="utf-8").splitlines():
        digest, name = line.split("  ", 1)
        path = out / name
        if not path.is_file():
            bad.append(f"{name} is missing")
        elif _sha256(path) != digest:
            bad.append(f"{name} was changed")
    if bad:
        listed = "\n".join(f"  {line}" for line in bad)
        raise SertlError(
            f"{out} is not what was written there:\n{listed}\nUse --redo to make it again."
        )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder to write the corpus to")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--redo", action="store_true", help="delete what is there and start again")
    args = parser.parse_args()
    make_corpus(args.out, args.seed, args.redo)


if __name__ == "__main__":
    run(main)
