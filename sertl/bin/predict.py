# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Predict emotions of any audio with a trained model: a line, or a timeline, for each recording.

INPUT is an audio file, a folder (searched for audio), a wav.scp (id and path a line), or - for
paths on standard input. All finished folds and seeds of an experiment are averaged, unless
--seeds or --folds choose some. With --out, a run that was interrupted goes on where it was.

    sertl predict --model exp/mini recordings/ > predictions.jsonl
    sertl predict --model exp/mini --out all.jsonl --shard 3/16 wav.scp     # on 16 machines, then
    sertl predict --model exp/mini --out all.jsonl --merge 16 wav.scp
    sertl predict --model emotion.sertl --timeline --format textgrid --out grids/ interviews/
"""

import argparse
import sys
import time
from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import read_table
from sertl.errors import SertlError
from sertl.shard import Shard
from sertl.use.merging import merge, own_recordings, part_of
from sertl.use.opening import Opening, numbers
from sertl.use.predict_lines import IDS, predict_lines
from sertl.use.predict_timelines import plan_of, predict_timelines
from sertl.use.prediction import FORMATS
from sertl.use.recordings import Recording
from sertl.use.sources import find_sources
from sertl.use.timeline_formats import FORMATS as TIMELINE_FORMATS

SOME_FAILED = 3  # exit status with --keep-going


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", required=True, help="exp/<tag>, a fold of it, a packed model, or a .onnx file")
    add("inputs", nargs="+", metavar="INPUT", help="file, folder, wav.scp, or -")
    kinds = list(dict.fromkeys([*FORMATS, *TIMELINE_FORMATS]))
    add("--format", default="json", choices=kinds, help="of lines, or of timelines")
    add("--out", default="", help="file to write (default: standard output); a folder for "
        "textgrid and srt")  # fmt: skip
    add("--seeds", default="", help='only these of an experiment, as in "1 2"')
    add("--folds", default="", help="likewise")
    add("--ckpt", default="", help="where the encoder's weights lie now")
    add("--speakers", default="", help="utt2spk; with --timeline also an RTTM file, or "
        "cluster:N to guess N speakers of each recording by voice, approximately")  # fmt: skip
    add("--speaker-norm", default="", choices=("", "none"), help="none: ignore speakers, also "
        "where the model normalises them (default: as it was trained, causally)")  # fmt: skip
    add("--embeddings", default="", help="utterance vectors of one model, too: NAME.ark or .npy")
    add("--shard", default="", metavar="i/N", help="only the i-th of N parts, to NAME.iofN")
    add("--merge", type=int, default=0, metavar="N", help="join the files of N shards in --out")
    add("--keep-going", action="store_true", help="leave bad recordings out; exit status 3")
    add("--nj", type=int, default=1, help="processes side by side")
    add("--ngpu", type=int, default=0, choices=(0, 1), help="1: on the GPU")
    add("--batch-sec", type=float, default=60.0, help="padded audio a batch (default: %(default)s)")
    cut = parser.add_argument_group("timelines of long recordings")
    cut.add_argument("--timeline", action="store_true", help="emotions of segments of speech")
    cut.add_argument("--vad", default="silero", help="what finds speech: silero, or energy")
    cut.add_argument("--max-sec", type=float, default=15.0, help="longest segment (%(default)s)")
    cut.add_argument("--min-silence-sec", type=float, default=0.3, help="least pause (%(default)s)")
    cut.add_argument("--curve-sec", type=float, default=2.0, help="window of the curve inside a "
                     "segment; 0: no curve (%(default)s)")  # fmt: skip
    cut.add_argument("--hop-sec", type=float, default=0.5, help="from window to window")
    cut.add_argument("--plot", default="", help="a picture of it: NAME.png; of several, a folder")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    check(args)
    if args.merge:
        merge_shards(args)
        return
    seeds, folds = numbers(args.seeds, "--seeds"), numbers(args.folds, "--folds")
    device = "cuda" if args.ngpu else "cpu"
    opening = Opening(args.model, tuple(seeds), tuple(folds), args.ckpt or None, device)
    predictor = opening.open()
    spks, rttm = speakers(args)
    if predictor.remembers and (spks or rttm) and args.nj > 1:
        raise SertlError(
            "this model knows speakers by what they said before, in order: --nj 1 with --speakers"
        )
    recordings = all_recordings(args, spks)
    if shard := Shard.parse(args.shard):
        recordings, args.out = own_recordings(recordings, shard), part_of(args.out, shard)
    begun = time.monotonic()
    if args.timeline:
        sec, failed = predict_timelines(args, predictor, opening, recordings, rttm)
    else:
        sec, failed = predict_lines(args, predictor, opening, recordings)
    rate = sec / max(1e-9, time.monotonic() - begun)
    number = len(recordings) - len(failed)
    print(
        f"{number} recording{'' if number == 1 else 's'}, {sec:.0f} s of audio predicted, "
        f"{rate:.1f} x real time",
        file=sys.stderr,
    )
    if failed:
        print(f"{len(failed)} left out:", *failed, sep="\n  ", file=sys.stderr)
        sys.exit(SOME_FAILED)


def all_recordings(args: argparse.Namespace, spks: dict[str, str]) -> list[Recording]:
    """What INPUT names, with speakers."""
    found = find_sources(args.inputs, sys.stdin)
    return [Recording(utt, path, spks.get(utt)) for utt, path in found]


def merge_shards(args: argparse.Namespace) -> None:
    """Join what shards predicted of the same inputs."""
    merge(args.out, args.merge, all_recordings(args, {}), IDS[args.format], args.keep_going)
    print(f"{args.out}: {args.merge} shards joined", file=sys.stderr)


def check(args: argparse.Namespace) -> None:
    """Refuse options that do not go together.

    Raises:
        SertlError: Naming them.
    """
    if args.nj < 1 or not args.batch_sec > 0:
        raise SertlError("--nj and --batch-sec are at least 1, and above 0")
    allowed = TIMELINE_FORMATS if args.timeline else FORMATS
    if args.format not in allowed:
        word = "with" if args.timeline else "without"
        raise SertlError(f"--format {args.format} {word} --timeline; expected {', '.join(allowed)}")
    if args.timeline and args.embeddings:
        raise SertlError("--embeddings are of whole recordings: without --timeline")
    if args.embeddings and not args.embeddings.endswith((".npy", ".ark")):
        raise SertlError(f"--embeddings {args.embeddings}: a name that ends with .npy or .ark")
    if args.timeline:
        plan_of(args)
    parts = args.shard or args.merge
    if parts and (args.shard and args.merge or args.merge < 0):
        raise SertlError("--merge N joins the files of N shards, without --shard")
    if parts and (not args.out or args.timeline or args.embeddings):
        raise SertlError("--shard and --merge: lines in --out, no timelines, no --embeddings")
    if args.plot and not args.timeline:
        raise SertlError("--plot draws a timeline: with --timeline")
    if args.speakers.startswith("cluster:") and not args.timeline:
        raise SertlError("--speakers cluster:N parts one recording's segments: with --timeline")


def speakers(args: argparse.Namespace) -> tuple[dict[str, str], dict]:
    """Of --speakers: speaker by recording, and turns by recording.

    Raises:
        SertlError: A file that is neither utt2spk nor RTTM.
    """
    if not args.speakers or args.speakers.startswith("cluster:") or args.speaker_norm == "none":
        return {}, {}
    text = (
        Path(args.speakers).read_text("utf-8", "replace") if Path(args.speakers).is_file() else ""
    )
    if text.lstrip(";# \n").startswith("SPEAKER "):
        if not args.timeline:
            raise SertlError(f"--speakers {args.speakers}: RTTM says who speaks when: --timeline")
        from sertl.use.speakers import read_rttm

        return {}, read_rttm(args.speakers)
    return read_table(args.speakers), {}


if __name__ == "__main__":
    run(main)
