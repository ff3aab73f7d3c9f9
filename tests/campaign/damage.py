# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Damaged input for everything that reads: refused in a line, or harmless; never a traceback.

A kind makes good input in a folder, and reads it. A case damages one file of a copy, or one value,
and reads that. What comes out: `refused` (SertlError), `accepted`, `changed` (accepted, but what
was read differs in a way that must not be), `traceback`, `hung` or `executed`.
"""

import io
import random
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from mutations import CANARY, damage

from sertl.errors import SertlError

PATIENCE_SEC = 60.0
BAD = ("traceback", "hung", "executed", "changed")


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    Attributes:
        name: In the table.
        make: Fills a folder with good input.
        read: Reads it; its result is compared where `same` says so.
        files: Glob patterns of what is damaged.
        same: Patterns of files whose damage must not change what is read, if it is accepted.
        own: Instead of damage to files: called with the folder and the generator, reads and returns
            what was tried.
    """

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], object] | None = None
    files: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    own: Callable[[Path, random.Random], str] | None = None


class Hang(BaseException):
    """Raised by the alarm."""


@dataclass
class Outcome:
    """What became of one case."""

    kind: str
    case: int
    what: str
    result: str
    said: str = ""


def run_kind(kind: Kind, cases: range, seed: int, folder: Path) -> list[Outcome]:
    """Run cases of a kind; each follows from seed, kind and its number alone."""
    good = folder / "good"
    good.mkdir(parents=True)
    kind.make(good)
    before = None if kind.read is None else repr(quietly(lambda: kind.read(good)))
    found = []
    for case in cases:
        rng = random.Random(f"{seed} {kind.name} {case}")
        work = folder / "work"
        shutil.copytree(good, work, symlinks=True)
        found.append(run_case(kind, case, rng, work, before))
        shutil.rmtree(work)
    return found


def run_case(kind: Kind, case: int, rng: random.Random, work: Path, before: str | None) -> Outcome:
    """Damage and read."""
    what = ["", ""]

    def act() -> object:
        if kind.own is not None:
            what[0] = kind.own(work, rng)
            return None
        paths = sorted({p for pattern in kind.files for p in work.glob(pattern) if p.is_file()})
        path = rng.choice(paths)
        what[1] = str(path.relative_to(work))
        what[0] = f"{what[1]}: {damage(path, rng)}"
        return kind.read(work)

    result, said = attempt(act)
    if result == "accepted" and before is not None and repr(said) != before:
        if any(Path(what[1]).match(pattern) for pattern in kind.same):
            result = "changed"
    said = said if isinstance(said, str) and result != "accepted" else ""
    if any(work.rglob(CANARY)) or Path(CANARY).exists():
        result = "executed"
    return Outcome(kind.name, case, what[0], result, said)


def attempt(act: Callable[[], object]) -> tuple[str, object]:
    """Call act with an alarm; how it ended, and what it returned or said."""

    def ring(*_: object) -> None:
        raise Hang

    handler = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_SEC)
    try:
        return "accepted", quietly(act)
    except SertlError as error:
        return "refused", str(error)
    except Hang:
        return "hung", traceback.format_exc()
    except (Exception, SystemExit):
        return "traceback", traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def quietly(act: Callable[[], object]) -> object:
    """What act returns, without what it prints."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return act()


def table(outcomes: list[Outcome]) -> str:
    """Counts by kind."""
    columns = ("refused", "accepted", *BAD)
    lines = [f"{'kind':24}{'cases':>8}" + "".join(f"{c:>11}" for c in columns)]
    names = list(dict.fromkeys(o.kind for o in outcomes))
    for name in [*names, "all"]:
        counts = Counter(o.result for o in outcomes if name in (o.kind, "all"))
        lines.append(
            f"{name:24}{sum(counts.values()):>8}" + "".join(f"{counts[c]:>11}" for c in columns)
        )
    return "\n".join(lines)


def show(outcomes: list[Outcome]) -> None:
    """Everything that must not be."""
    for o in outcomes:
        if o.result in BAD:
            print(f"{o.kind} {o.case}: {o.what}: {o.result}\n{o.said[-1500:]}", file=sys.stderr)
