# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Check a data directory against its contract, and list every problem with file and line."""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sertl.data.audio import inspect_audio
from sertl.data.fields import FIELDS, Field, numbers, own_columns
from sertl.data.table import bad_key, scan_table

REQUIRED = ("wav.scp", "utt2spk", "spk2utt", "utt2dur")
EXTRA = ("labels", "vad_range")  # not "key value" tables
BY_SPEAKER = ("spk2utt", *(field.file for field in FIELDS.values() if field.of_speaker))


@dataclass
class Scan:
    """What was read from a data directory, whether or not it is valid.

    Attributes:
        tables: File name to {key: value}; absent optional files are missing.
        lines: File name to {key: line number}; empty for a clean table, see where().
        fields: Those whose files are there.
        labels: Classes in index order.
        vad_range: (lowest, highest) of the valence-arousal-dominance scale.
        problems: "file:line: what" for everything that breaks the contract.
    """

    path: Path
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    lines: dict[str, dict[str, int]] = field(default_factory=dict)
    fields: list[Field] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    vad_range: tuple[float, float] | None = None
    problems: list[str] = field(default_factory=list)

    def where(self, name: str, key: str) -> str:
        """Return "file:line" of a key."""
        lines = self.lines[name]
        if not lines:  # a clean table
            lines |= {key: number for number, key in enumerate(self.tables[name], start=1)}
        return f"{self.path / name}:{lines[key]}"


def problems(
    path: str | os.PathLike, allow_pipe: bool = False, check_audio: bool = False, nj: int = 1
) -> list[str]:
    """Return every problem of a data directory; an empty list means that it is valid.

    Args:
        path: Data directory.
        allow_pipe: Accept shell pipes in wav.scp (sertl itself never executes them).
        check_audio: Also decode every audio file.
        nj: Processes for decoding.
    """
    scan = scan_data_dir(path, allow_pipe)
    found = list(scan.problems)
    if check_audio:
        wavs = [(u, w) for u, w in scan.tables.get("wav.scp", {}).items() if not is_pipe(w)]
        if nj > 1:
            with ProcessPoolExecutor(nj) as pool:
                results = list(pool.map(inspect_audio, [w for _, w in wavs], chunksize=16))
        else:
            results = [inspect_audio(w) for _, w in wavs]
        for (utt, wav), facts in zip(wavs, results, strict=True):
            for what in facts.problems:
                found.append(f"{scan.where('wav.scp', utt)}: '{utt}' {wav}: {what}")
    return found


def is_pipe(wav: str) -> bool:
    """Whether a wav.scp value is a Kaldi pipe."""
    return wav.startswith("|") or wav.endswith("|")


def scan_data_dir(path: str | os.PathLike, allow_pipe: bool = False) -> Scan:
    """Read everything in a data directory and collect its problems."""
    scan = Scan(Path(path))
    if not scan.path.is_dir():
        scan.problems.append(f"{path}: no such directory; expected a data directory")
        return scan
    own = own_columns(p.name for p in scan.path.iterdir())
    scan.fields = [f for f in (*FIELDS.values(), *own) if os.path.lexists(scan.path / f.file)]
    for name in (*REQUIRED, *(f.file for f in scan.fields)):
        ids = scan.tables.get("wav.scp", {}) if name not in BY_SPEAKER else ()
        found = scan_table(scan.path / name, ids)
        scan.tables[name], scan.lines[name] = found.table, found.line
        scan.problems += found.problems
    if not scan.tables["wav.scp"] and (scan.path / "wav.scp").is_file():
        scan.problems.append(f"{scan.path}/wav.scp: no utterances")
    _read_extra(scan)
    _check_keys(scan)
    _check_speakers(scan)
    _check_values(scan, allow_pipe)
    return scan


def _is_odd(path: Path) -> bool:
    """Whether something else than a file is there: a directory, a pipe, a link to nothing."""
    return os.path.lexists(path) and not path.is_file()


def _read_extra(scan: Scan) -> None:
    """Read `labels` and `vad_range`."""
    labels = scan.path / "labels"
    if _is_odd(labels):
        scan.problems.append(f"{labels}: no regular file")
    elif labels.exists():
        lines = labels.read_text(encoding="utf-8", errors="replace").split("\n")
        for number, label in enumerate(lines[:-1] if lines[-1] == "" else lines, start=1):
            if bad := bad_key(label) or ("is repeated" if label in scan.labels else None):
                scan.problems.append(f"{labels}:{number}: label {label!r} {bad}")
            else:
                scan.labels.append(label)
    elif "utt2emo" in scan.tables:
        scan.problems.append(f"{labels}: missing; utt2emo needs it (one class per line)")
    vad_range = scan.path / "vad_range"
    if _is_odd(vad_range):
        scan.problems.append(f"{vad_range}: no regular file")
    elif vad_range.exists():
        found = numbers(vad_range.read_text(encoding="utf-8", errors="replace"))
        if len(found) == 2 and found[0] < found[1]:
            scan.vad_range = (found[0], found[1])
        else:
            scan.problems.append(
                f"{vad_range}:1: expected lowest and highest value such as '1 5', "
                f"found {vad_range.read_text(errors='replace').strip()!r}"
            )
    elif "utt2vad" in scan.tables:
        scan.problems.append(f"{vad_range}: missing; utt2vad needs it (one line such as '1 5')")


def _check_keys(scan: Scan) -> None:
    """Every table lists the utterances of wav.scp, every speaker table the speakers of utt2spk."""
    utts = scan.tables["wav.scp"]
    spks = dict.fromkeys(scan.tables["utt2spk"].values())
    for name, table in scan.tables.items():
        expected, source = (spks, "utt2spk") if name in BY_SPEAKER else (utts, "wav.scp")
        for key in expected:
            if key not in table:
                scan.problems.append(f"{scan.path}/{name}: missing key '{key}' (it is in {source})")
        for key in table:
            if key not in expected:
                scan.problems.append(f"{scan.where(name, key)}: key '{key}' is not in {source}")


def _check_speakers(scan: Scan) -> None:
    """Ids start with the speaker, spk2utt inverts utt2spk, and both sort alike."""
    utt2spk = scan.tables["utt2spk"]
    inverse: dict[str, list[str]] = {}
    previous = ""
    is_sorted = list(utt2spk) == sorted(utt2spk)
    for utt, spk in utt2spk.items():
        where = scan.where("utt2spk", utt)
        inverse.setdefault(spk, []).append(utt)
        if " " in spk:
            scan.problems.append(f"{where}: speaker {spk!r} of '{utt}' holds a blank")
        if not utt.startswith(f"{spk}-") or utt == f"{spk}-":
            scan.problems.append(
                f"{where}: utterance '{utt}' does not start with its speaker and a dash, '{spk}-'"
            )
        if is_sorted and spk < previous:
            scan.problems.append(
                f"{where}: sorted by utterance, speaker '{spk}' comes after '{previous}'; Kaldi "
                "needs both orders to agree (a speaker id is a prefix of another one?)"
            )
        previous = spk
    for spk, line in scan.tables["spk2utt"].items():
        if spk in inverse and line.split(" ") != inverse[spk]:
            wrong = set(line.split(" ")) ^ set(inverse[spk])
            detail = ", ".join(sorted(wrong)[:5]) or "same utterances in another order"
            scan.problems.append(
                f"{scan.where('spk2utt', spk)}: speaker '{spk}' disagrees with utt2spk: {detail}"
            )


def _check_values(scan: Scan, allow_pipe: bool) -> None:
    """Check each value of each table by the rule of that table."""

    def note(name: str, key: str, value: str, what: str | None) -> None:
        if what:
            scan.problems.append(f"{scan.where(name, key)}: '{key}' has {value!r}; {what}")

    for key, value in scan.tables["wav.scp"].items():
        if is_pipe(value) and not allow_pipe:
            what = "a shell pipe; sertl never executes pipes, write the audio to files"
            note("wav.scp", key, value, what)
    for key, value in scan.tables["utt2dur"].items():
        found = numbers(value)
        if len(found) != 1 or not found[0] > 0:
            note("utt2dur", key, value, "expected a positive number of seconds")
    for one in scan.fields:
        for key, value in scan.tables[one.file].items():
            note(one.file, key, value, one.problem(value, scan.labels))
