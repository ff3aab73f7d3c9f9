# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""`sertl predict --timeline`: segments of each recording, as lines, rows, or a file each."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sertl.atomic import write_text
from sertl.errors import SertlError
from sertl.use.opening import AnyPredictor, Opening
from sertl.use.output import Output
from sertl.use.progress import Progress
from sertl.use.recordings import Recording
from sertl.use.segmenter import Cutting
from sertl.use.speakers import Turn
from sertl.use.speech_detector import DETECTORS
from sertl.use.timeline import Plan, Timeline, timeline
from sertl.use.timeline_formats import (
    FORMATS,
    as_csv,
    as_json,
    as_srt,
    as_textgrid,
    csv_header,
)
from sertl.use.workers import each


@dataclass(frozen=True)
class Task:
    """A recording with its turns, and how its timeline is made."""

    recording: Recording
    plan: Plan
    turns: tuple[Turn, ...]
    keep_going: bool


def make(predictor: AnyPredictor, task: Task) -> Timeline | str:
    """The timeline, or with keep_going why there is none."""
    try:
        return timeline(predictor, task.recording.path, task.plan, task.turns)
    except SertlError as error:
        if not task.keep_going:
            raise
        return str(error)


def predict_timelines(
    args: argparse.Namespace,
    predictor: AnyPredictor,
    opening: Opening,
    recordings: Sequence[Recording],
    rttm: Mapping[str, Sequence[Turn]],
) -> tuple[float, list[str]]:
    """Make and write timelines; see predict_lines.

    Raises:
        SertlError: Besides, a recording without turns in the RTTM file.
    """
    plan = plan_of(args)
    tasks = [Task(*_planned(one, plan, rttm), args.keep_going) for one in recordings]
    if args.format in ("textgrid", "srt"):
        return _files(args, predictor, opening, tasks)
    key = {"opening": repr(opening), "plan": repr(plan), "format": args.format}
    ids = (lambda line: json.loads(line)["utt"]) if args.format == "json" else _csv_id
    sec, failed = 0.0, []
    with Output(args.out, key, ids) as output:
        known = predictor.remembers and any(t.turns or t.plan.spk for t in tasks)
        if output.done and (args.format == "csv" or known):
            output.restart()  # rows of a recording may be missing; speakers are forgotten
        if args.format == "csv":
            output.write("", csv_header(predictor.labels))
        done = set(output.done)
        left = [task for task in tasks if task.recording.utt not in done]
        for task, found in _made(args, predictor, opening, left, len(tasks)):
            if isinstance(found, str):
                failed.append(found)
                continue
            _plot(args, predictor, task, found, len(tasks))
            one, sec = task.recording, sec + found.dur_sec
            if args.format == "json":
                output.write(one.utt, as_json(one.utt, one.path, found))
            else:
                output.write(one.utt, as_csv(one.utt, found, predictor.labels))
            output.flush()
    return sec, failed


def plan_of(args: argparse.Namespace) -> Plan:
    """The plan of the options.

    Raises:
        SertlError: Values that mean nothing.
    """
    DETECTORS.get(args.vad)
    cutting = Cutting(max_sec=args.max_sec, min_silence_sec=args.min_silence_sec)
    cutting.check()
    if args.curve_sec and not (0.1 <= args.curve_sec <= 30 and 0.01 <= args.hop_sec <= 30):
        raise SertlError("--curve-sec is 0.1 to 30, or 0; --hop-sec 0.01 to 30")
    guess = 0
    if args.speakers.startswith("cluster:"):
        count = args.speakers.removeprefix("cluster:")
        if not (count.isdecimal() and 1 <= int(count) <= 50):
            raise SertlError(f"--speakers cluster:{count}: expected a number of speakers, 1 to 50")
        guess = int(count)
    return Plan(args.vad, cutting, args.curve_sec, args.hop_sec, None, guess)


def _planned(
    one: Recording, plan: Plan, rttm: Mapping[str, Sequence[Turn]]
) -> tuple[Recording, Plan, tuple[Turn, ...]]:
    if one.spk is not None:
        plan = Plan(plan.vad, plan.cutting, plan.curve_sec, plan.hop_sec, one.spk, plan.guess)
    if not rttm:
        return one, plan, ()
    turns = rttm.get(one.utt) or rttm.get(Path(one.path).stem)
    if not turns:
        raise SertlError(
            f"{one.utt}: the RTTM file has no turns of it, nor of '{Path(one.path).stem}'; it has "
            f"{', '.join(sorted(rttm)[:5])}"
        )
    return one, plan, tuple(turns)


def _csv_id(line: str) -> str:
    return line.partition(",")[0]


def _made(
    args: argparse.Namespace,
    predictor: AnyPredictor,
    opening: Opening,
    tasks: Iterable[Task],
    total: int,
) -> Iterator[tuple[Task, Timeline | str]]:
    tasks = list(tasks)
    progress = Progress(total, total - len(tasks))
    for task, found in zip(tasks, each(predictor, opening, make, tasks, args.nj), strict=True):
        yield task, found
        progress.add(1)
    progress.close()


def _plot(
    args: argparse.Namespace, predictor: AnyPredictor, task: Task, found: Timeline, total: int
) -> None:
    """Draw a timeline if it is asked for."""
    if not args.plot:
        return
    from sertl.use.timeline_plot import plot_timeline

    path = Path(task.recording.path)
    out = Path(args.plot)
    if total > 1 or not out.suffix:
        out = out / f"{path.stem}.png"
    plot_timeline(path, found, predictor.labels, out, path.name)


def _files(
    args: argparse.Namespace, predictor: AnyPredictor, opening: Opening, tasks: Sequence[Task]
) -> tuple[float, list[str]]:
    """A file for each recording, in the folder --out; one recording may go to standard output."""
    if not args.out and len(tasks) > 1:
        raise SertlError(f"--format {args.format} of several recordings needs --out FOLDER")
    names = [Path(task.recording.path).stem for task in tasks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SertlError(
            f"two recordings are called {twice[0]}, and their {args.format} files would be one; "
            "predict them apart, or with --format json"
        )
    places = {
        task.recording.utt: Path(args.out) / f"{name}{FORMATS[args.format]}"
        for task, name in zip(tasks, names, strict=True)
    }
    known = predictor.remembers and any(t.turns or t.plan.spk for t in tasks)
    left = [t for t in tasks if known or not args.out or not places[t.recording.utt].is_file()]
    sec, failed = 0.0, []
    for task, found in _made(args, predictor, opening, left, len(tasks)):
        if isinstance(found, str):
            failed.append(found)
            continue
        sec += found.dur_sec
        _plot(args, predictor, task, found, len(tasks))
        text = as_textgrid(found) if args.format == "textgrid" else as_srt(found)
        if args.out:
            write_text(places[task.recording.utt], text)
        else:
            sys.stdout.write(text)
    return sec, failed
