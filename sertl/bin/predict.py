# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Predict emotions of any audio with a trained model: a line for each recording.

INPUT is an audio file, a folder (searched for audio), a wav.scp (id and path a line), or - for
paths on standard input. All finished folds and seeds of an experiment are averaged, unless
--seeds or --folds choose some.

    python -m sertl.bin.predict --model exp/mini recordings/ > predictions.jsonl
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator

import torch
from tqdm import tqdm

from sertl.cli import run
from sertl.data.audio import SAMPLE_RATE, read_audio
from sertl.data.datadir import read_table
from sertl.errors import SertlError
from sertl.use.predictor import Prediction, Predictor
from sertl.use.sources import find_sources

SOME_FAILED = 3  # exit status with --keep-going


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="exp/<tag>, a fold of it, or a phase")
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="file, folder, wav.scp, or -")
    parser.add_argument("--format", default="json", choices=("json", "tsv"))
    parser.add_argument("--out", default="", help="file to write (default: standard output)")
    parser.add_argument("--seeds", default="", help='only these of an experiment, as in "1 2"')
    parser.add_argument("--folds", default="", help="likewise")
    parser.add_argument("--ckpt", default="", help="where the encoder's weights lie now")
    parser.add_argument(
        "--speakers", default="", help="utt2spk: who speaks, for models that normalise speakers"
    )
    parser.add_argument("--keep-going", action="store_true", help="leave bad recordings out")
    parser.add_argument("--ngpu", type=int, default=0, choices=(0, 1), help="1: on the GPU")
    parser.add_argument(
        "--batch-sec", type=float, default=60.0, help="padded audio a batch (default: %(default)s)"
    )
    return parser.parse_args()


def main() -> None:
    args = arguments()
    seeds, folds = numbers(args.seeds, "--seeds"), numbers(args.folds, "--folds")
    device = "cuda" if args.ngpu else "cpu"
    predictor = Predictor.load(args.model, seeds, folds, args.ckpt or None, device)
    sources = list(find_sources(args.inputs, sys.stdin))
    spks = read_table(args.speakers) if args.speakers else {}
    failed: list[str] = []
    stream = open(args.out, "w", encoding="utf-8") if args.out else sys.stdout
    try:
        begun, sec = time.monotonic(), 0.0
        with tqdm(total=len(sources), unit="clip", disable=not sys.stderr.isatty()) as bar:
            for batch in batches(sources, args.batch_sec, args.keep_going, failed):
                names = [spks.get(utt) for utt, _, _ in batch]
                found = predictor.predict([wav for _, _, wav in batch], names)
                for (utt, path, _), one in zip(batch, found, strict=True):
                    stream.write(as_line(utt, path, one, args.format, predictor.labels))
                    sec += one.dur_sec
                stream.flush()
                bar.update(len(batch))
        rate = sec / max(1e-9, time.monotonic() - begun)
        print(f"{len(sources) - len(failed)} clips, {rate:.1f} x real time", file=sys.stderr)
    finally:
        if args.out:
            stream.close()
    if failed:
        print(f"{len(failed)} left out:", *failed, sep="\n  ", file=sys.stderr)
        sys.exit(SOME_FAILED)


def numbers(text: str, option: str) -> list[int]:
    """Whole numbers of an option.

    Raises:
        SertlError: If it holds something else.
    """
    words = text.split()
    if not all(word.isdecimal() for word in words):
        raise SertlError(f'{option} takes numbers, as in "1 2", got {text!r}')
    return [int(word) for word in words]


def batches(
    sources: list[tuple[str, str]], batch_sec: float, keep_going: bool, failed: list[str]
) -> Iterator[list[tuple[str, str, torch.Tensor]]]:
    """Read recordings in order, as many a time as batch_sec padded seconds hold.

    Raises:
        SertlError: A recording that cannot be read; with keep_going it is added to failed.
    """
    batch: list[tuple[str, str, torch.Tensor]] = []
    for utt, path in sources:
        try:
            wav = torch.from_numpy(read_audio(path, utt))
        except SertlError as error:
            if not keep_going:
                raise
            failed.append(str(error))
            continue
        longest = max([len(wav), *(len(w) for _, _, w in batch)])
        if batch and longest * (len(batch) + 1) > batch_sec * SAMPLE_RATE:
            yield batch
            batch = []
        batch.append((utt, path, wav))
    if batch:
        yield batch


def as_line(utt: str, path: str, one: Prediction, kind: str, labels: list[str]) -> str:
    """A prediction as a line of JSON, or of columns: id, emotion, a probability for each class."""
    if kind == "tsv":
        shown = [f"{one.probs['emo'][label]:.4f}" for label in labels] if one.emo else []
        return "\t".join([utt, one.emo or "-", *shown]) + "\n"
    fields = {"utt": utt, "wav": path, "dur_sec": round(one.dur_sec, 3), "emo": one.emo}
    fields["probs"] = {
        name: {label: round(p, 4) for label, p in probs.items()}
        for name, probs in one.probs.items()
    }
    if one.vad:
        fields["vad"] = {name: round(value, 4) for name, value in one.vad.items()}
    if one.text is not None:
        fields["text"] = one.text
    return json.dumps(fields, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    run(main)
