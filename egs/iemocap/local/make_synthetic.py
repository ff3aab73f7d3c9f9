#!/usr/bin/env python3
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Make a folder laid out like IEMOCAP from synthetic speech, of any size, with its oddities.

It lets the whole recipe be run and tested without the licensed corpus:

    local/make_synthetic.py downloads/synthetic --turns-per-session 60
    ./run.sh --corpus-dir downloads/synthetic --corpus-conf downloads/synthetic/corpus.yaml

OUT/corpus.yaml is conf/corpus.yaml with the counts of this folder. With --full-counts the counts
are those of the release (10039 turns, some 500 MB) and conf/corpus.yaml itself fits.
Numbers obtained on it say nothing about emotion recognition.
"""

import argparse
import logging
import sys
from collections import Counter
from pathlib import Path

import soundfile
import yaml

RECIPE = Path(__file__).resolve().parents[1]
sys.path.append(str(RECIPE.parent / "mini" / "local"))  # the voices are those of the mini recipe

from espeak import SAMPLE_RATE, Espeak  # noqa: E402
from synthetic_plan import MIN_TURNS, VOICES, Turn, plan  # noqa: E402
from synthetic_tree import UNLABELLED_WAV, wav_path, write_texts  # noqa: E402

from sertl import fingerprint  # noqa: E402
from sertl.atomic import write_text  # noqa: E402
from sertl.cli import run  # noqa: E402
from sertl.errors import SertlError  # noqa: E402

logger = logging.getLogger(__name__)

VERSION = 1  # raise it when the same arguments give other files


def read_conf() -> dict:
    """Read conf/corpus.yaml of this recipe."""
    return yaml.safe_load((RECIPE / "conf" / "corpus.yaml").read_text(encoding="utf-8"))


def corpus_yaml(conf: dict, turns: list[Turn], release: str) -> str:
    """The text of conf with the counts of turns in place of the expected ones."""
    conf = {
        **conf,
        "name": "iemocap-synthetic",
        "release": release,
        "licence": "synthetic speech, free of rights",
        "cite": "none (egs/iemocap/local/make_synthetic.py)",
        "notes": "synthetic speech: results say nothing about emotion recognition",
    }
    conf["policies"] = {
        name: {**policy, "expected": _count(turns, policy)}
        for name, policy in conf["policies"].items()
    }
    return yaml.safe_dump(conf, sort_keys=False, allow_unicode=True, width=100)


def _count(turns: list[Turn], policy: dict) -> dict[str, dict[str, int]]:
    merge, style = policy.get("merge", {}), policy.get("only_style")
    found = Counter(
        (turn.session, merge.get(turn.code, turn.code))
        for turn in turns
        if style in (None, turn.style)
    )
    return {f"Session{s}": {c: found[s, c] for c in policy["labels"]} for s in range(1, 6)}


def write_wavs(out: Path, turns: list[Turn], espeak: Espeak) -> None:
    """Speak every turn, and one more that no label line mentions."""
    for number, turn in enumerate(turns, start=1):
        path = wav_path(out, turn.turn)
        _speak(path, turn, espeak)
        if number == 1:
            _speak(wav_path(out, UNLABELLED_WAV), turn, espeak)
        if number % 1000 == 0:
            logger.info("%d of %d turns spoken", number, len(turns))


def _speak(path: Path, turn: Turn, espeak: Espeak) -> None:
    r, voice = turn.rendering, VOICES[turn.speaker].name
    wav = espeak.say(turn.text, voice, r.rate_wpm, r.pitch, r.pitch_range, r.volume)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wav, SAMPLE_RATE, subtype="PCM_16")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--turns-per-session", type=int, default=60, help="default %(default)s")
    parser.add_argument("--full-counts", action="store_true", help="as many turns as the release")
    parser.add_argument("--seed", type=int, default=1, help="default %(default)s")
    parser.add_argument("--redo", action="store_true", help="delete what is there and start again")
    args = parser.parse_args()
    size = None if args.full_counts else args.turns_per_session
    if size is not None and size < MIN_TURNS:
        raise SertlError(
            f"--turns-per-session {size} is too few to hold some of every code; "
            f"at least {MIN_TURNS} are needed"
        )
    espeak = Espeak()
    inputs = {"version": VERSION, "turns_per_session": size, "seed": args.seed}
    inputs["espeak"] = espeak.version
    if fingerprint.begin(args.out, inputs, args.redo) is fingerprint.Progress.DONE:
        logger.info("%s is complete already, nothing to do", args.out)
        return
    conf = read_conf()
    turns = plan(conf["policies"]["raw"]["expected"], size, args.seed)
    write_texts(args.out, turns)
    write_wavs(args.out, turns, espeak)
    release = f"synthetic, {len(turns)} turns, seed {args.seed}"
    write_text(args.out / "corpus.yaml", corpus_yaml(conf, turns, release))
    fingerprint.finish(args.out)
    logger.info("%s: %d turns", args.out, len(turns))


if __name__ == "__main__":
    run(main)
