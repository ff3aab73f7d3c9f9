# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Check a data directory against its contract, and list every problem with file and line.

"vad" is valence, arousal, dominance throughout, never voice activity.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sertl.data.audio import inspect_audio
from sertl.data.table import bad_key, scan_table

REQUIRED = ("wav.scp", "utt2spk", "spk2utt", "utt2dur")
OPTIONAL = ("utt2emo", "spk2gender", "text", "utt2style", "utt2vad", "utt2session", "utt2part")
EXTRA = ("labels", "vad_range")  # not "key value" tables
BY_SPEAKER = ("spk2utt", "spk2gender")
UNKNOWN = "-"  # value of one utterance in an optional file whose other values are known
STYLES = ("scripted", "improvised", "natural", "acted")
PARTS = ("train", "dev", "test")


@dataclass
class Scan:
    """What was read from a data directory, whether or not it is valid.

    Attributes:
        tables: File name to {key: value}; absent optional files are missing.
        lines: File name to {key: line number}.
        labels: Classes in index order.
        vad_range: (lowest, highest) of the valence-arousal-dominance scale.
        problems: "file:line: what" for everything that breaks the contract.
    """

    path: Path
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    lines: dict[str, dict[str, int]] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    vad_range: tuple[float, float] | None = None
    problems: list[str] = field(default_factory=list)

    def where(self, name: str, key: str) -> str:
        """Return "file:line" of a key."""
        return f"{self.path / name}:{self.lines[name][key]}"


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
    for name in REQUIRED + OPTIONAL:
        if name in OPTIONAL and not (scan.path / name).exists():
            continue
        found = scan_table(scan.path / name)
        scan.tables[name], scan.lines[name] = found.table, found.line
        scan.problems += found.problems
    if not scan.tables["wav.scp"] and (scan.path / "wav.scp").is_file():
        scan.problems.append(f"{scan.path}/wav.scp: no utterances")
    _read_extra(scan)
    _check_keys(scan)
    _check_speakers(scan)
    _check_values(scan, allow_pipe)
    return scan


def _read_extra(scan: Scan) -> None:
    """Read `labels` and `vad_range`."""
    labels = scan.path / "labels"
    if labels.exists():
        lines = labels.read_text(encoding="utf-8", errors="replace").split("\n")
        for number, label in enumerate(lines[:-1] if lines[-1] == "" else lines, start=1):
            if bad := bad_key(label) or ("is repeated" if label in scan.labels else None):
                scan.problems.append(f"{labels}:{number}: label {label!r} {bad}")
            else:
                scan.labels.append(label)
    elif "utt2emo" in scan.tables:
        scan.problems.append(f"{labels}: missing; utt2emo needs it (one class per line)")
    vad_range = scan.path / "vad_range"
    if vad_range.exists():
        numbers = _numbers(vad_range.read_text(encoding="utf-8", errors="replace"))
        if len(numbers) == 2 and numbers[0] < numbers[1]:
            scan.vad_range = (numbers[0], numbers[1])
        else:
            scan.problems.append(
                f"{vad_range}:1: expected lowest and highest value such as '1 5', "
                f"found {vad_range.read_text(errors='replace').strip()!r}"
            )
    elif "utt2vad" in scan.tables:
        scan.problems.append(f"{vad_range}: missing; utt2vad needs it (one line such as '1 5')")


def _numbers(text: str) -> list[float]:
    """Parse finite numbers; an empty list if any word is not one."""
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        return []
    return numbers if all(math.isfinite(n) for n in numbers) else []


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

    def among(names: tuple[str, ...] | list[str], value: str) -> str | None:
        return None if value in names else f"expected one of {', '.join(names)}"

    def duration(value: str) -> str | None:
        numbers = _numbers(value)
        ok = len(numbers) == 1 and numbers[0] > 0
        return None if ok else "expected a positive number of seconds"

    def vad(value: str) -> str | None:
        ok = len(_numbers(value)) == 3
        return None if ok else "expected three numbers: valence arousal dominance"

    def wav(value: str) -> str | None:
        if is_pipe(value) and not allow_pipe:
            return "a shell pipe; sertl never executes pipes, write the audio to files"
        return None

    def word(value: str) -> str | None:
        return "expected one word" if " " in value else None

    rules: dict[str, Callable[[str], str | None]] = {
        "wav.scp": wav,
        "utt2dur": duration,
        "utt2emo": partial(among, scan.labels),
        "spk2gender": partial(among, ("m", "f")),
        "utt2style": partial(among, STYLES),
        "utt2part": partial(among, PARTS),
        "utt2vad": vad,
        "utt2session": word,
    }
    for name, rule in rules.items():
        for key, value in scan.tables.get(name, {}).items():
            if value == UNKNOWN and name in OPTIONAL:
                continue
            if what := rule(value):
                scan.problems.append(f"{scan.where(name, key)}: '{key}' has {value!r}; {what}")
