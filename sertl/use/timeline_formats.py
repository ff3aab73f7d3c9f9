# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Timelines as text: JSON lines, CSV, Praat's TextGrid, SubRip."""

import csv
import io
import json
from collections.abc import Sequence

from sertl.use.timeline import Segment, Timeline, segment_fields

FORMATS = {"json": ".jsonl", "csv": ".csv", "textgrid": ".TextGrid", "srt": ".srt"}


def as_json(utt: str, path: str, found: Timeline) -> str:
    """One line."""
    fields = {"utt": utt, "wav": path, "dur_sec": round(found.dur_sec, 3)}
    fields["segments"] = [segment_fields(one) for one in found.segments]
    return json.dumps(fields, ensure_ascii=False) + "\n"


def csv_header(labels: Sequence[str]) -> str:
    """Names of the columns."""
    return _row(["utt", "start", "end", "spk", "emo", *labels, "text"])


def as_csv(utt: str, found: Timeline, labels: Sequence[str]) -> str:
    """A row for each segment."""
    rows = []
    for one in found.segments:
        probs = one.said.probs.get("emo", {})
        shown = [f"{probs[label]:.4f}" if probs else "" for label in labels]
        head = [utt, f"{one.start:.3f}", f"{one.end:.3f}", one.spk or "", one.said.emo or ""]
        rows.append(_row([*head, *shown, one.said.text or ""]))
    return "".join(rows)


def _row(cells: Sequence[str]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(cells)
    return stream.getvalue()


def as_textgrid(found: Timeline) -> str:
    """Praat's long text format: for each speaker a tier of emotions; overlaps are cut short."""
    speakers = sorted({one.spk for one in found.segments}, key=lambda spk: spk or "")
    tiers = [
        (f"emotion {spk}" if spk else "emotion", [s for s in found.segments if s.spk == spk])
        for spk in speakers
    ] or [("emotion", [])]
    end = found.dur_sec
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    lines += [
        "xmin = 0",
        f"xmax = {end:.6f}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for number, (name, segments) in enumerate(tiers, 1):
        parts = _without_gaps(segments, end)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"']
        lines += [f"        name = {_quoted(name)}", "        xmin = 0"]
        lines += [f"        xmax = {end:.6f}", f"        intervals: size = {len(parts)}"]
        for place, (start, stop, text) in enumerate(parts, 1):
            lines += [f"        intervals [{place}]:", f"            xmin = {start:.6f}"]
            lines += [f"            xmax = {stop:.6f}", f"            text = {_quoted(text)}"]
    return "\n".join(lines) + "\n"


def _without_gaps(segments: Sequence[Segment], end: float) -> list[tuple[float, float, str]]:
    """Intervals that cover 0 to end, as Praat wants them: pauses have no text."""
    parts, now = [], 0.0
    for one in sorted(segments, key=lambda s: s.start):
        start, stop = max(now, one.start), min(one.end, end)
        if stop - start < 1e-3:
            continue
        if start - now >= 1e-3:
            parts.append((now, start, ""))
        else:
            start = now
        parts.append((start, stop, one.said.emo or ""))
        now = stop
    if end - now >= 1e-3 or not parts:
        parts.append((now, end, ""))
    elif parts:
        parts[-1] = (parts[-1][0], end, parts[-1][2])
    return parts


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def as_srt(found: Timeline) -> str:
    """Subtitles: speaker, emotion with its probability, transcript."""
    blocks = []
    for number, one in enumerate(found.segments, 1):
        share = one.said.probs.get("emo", {}).get(one.said.emo or "", 0.0)
        head = f"[{one.said.emo} {100 * share:.0f} %]" if one.said.emo else ""
        words = " ".join(w for w in (f"{one.spk}:" if one.spk else "", head, one.said.text) if w)
        blocks.append(f"{number}\n{_clock(one.start)} --> {_clock(one.end)}\n{words}\n")
    return "\n".join(blocks)


def _clock(sec: float) -> str:
    milli = round(sec * 1000)
    hours, rest = divmod(milli, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d},{rest % 1000:03d}"
