# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Decide the turns of a synthetic IEMOCAP: who says what, in which dialogue, with which label."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from rendering import Rendering, Voice, render
from sentences import SCRIPT, improvise

CODES = ("neu", "hap", "exc", "ang", "sad", "fru", "sur", "fea", "dis", "oth", "xxx")
FOUR_CLASSES = ("neu", "hap", "exc", "ang", "sad")
LEAST = dict(zip(CODES, (3, 3, 3, 3, 3, 2, 1, 1, 1, 1, 2), strict=True))  # per session
MIN_TURNS = sum(LEAST.values()) + 1  # per session

# Of the release: turns per code in improvised dialogues, and per session four-class improvised
# turns and four-class turns of the actress.
IMPROVISED = dict(zip(CODES, (1099, 284, 663, 289, 608, 971, 60, 8, 1, 1, 800), strict=True))
FOUR_CLASS_IMPROVISED = (521, 530, 627, 534, 731)
FOUR_CLASS_FEMALE = (528, 481, 522, 528, 590)
OUTSIDE = ((5.5, 3.0, 3.0), (2.0, 4.0, 0.5))  # means beyond the nominal scale, as in the release
NUM_OUTSIDE = 7

VOICES = {
    "Ses01F": Voice("en-us+f1", "f", 52, 200),
    "Ses01M": Voice("en-us+m1", "m", 46, 195),
    "Ses02F": Voice("en-gb-scotland+f2", "f", 48, 205),
    "Ses02M": Voice("en-gb-x-rp+m3", "m", 50, 200),
    "Ses03F": Voice("en-us-nyc+f3", "f", 50, 195),
    "Ses03M": Voice("en-029+m4", "m", 52, 205),
    "Ses04F": Voice("en-gb-x-gbcwmd+f4", "f", 46, 200),
    "Ses04M": Voice("en-us+m7", "m", 48, 195),
    "Ses05F": Voice("en-us+f5", "f", 50, 190),
    "Ses05M": Voice("en-gb-x-gbclan+m2", "m", 46, 200),
}


@dataclass(frozen=True)
class Turn:
    """One labelled turn."""

    turn: str  # Ses01F_impro01_M003
    code: str
    text: str
    vad: tuple[float, float, float]
    rendering: Rendering

    @property
    def dialog(self) -> str:
        return self.turn.rsplit("_", 1)[0]

    @property
    def session(self) -> int:
        return int(self.turn[4])

    @property
    def speaker(self) -> str:
        return self.turn[:5] + self.turn.rsplit("_", 1)[1][0]

    @property
    def style(self) -> str:
        return "improvised" if "_impro" in self.turn else "scripted"


def dialogs(session: int) -> list[str]:
    """The dialogues of one session, as in the release: 28, 30, 32, 30 and 31."""
    names = []
    for letter in "FM":
        scenes = [f"impro{n:02d}" for n in range(1, 8 if session == 1 else 9)]
        scenes += ["script01_1", "script01_2", "script01_3"]
        scenes += ["script02_1", "script02_2", "script03_1", "script03_2"]
        if (session, letter) == (3, "M"):
            scenes = [s for s in scenes if s not in ("impro05", "impro08")]
            scenes += ["impro05a", "impro05b", "impro08a", "impro08b"]
        if (session, letter) == (5, "M"):
            scenes.append("script01_1b")
        names += [f"Ses0{session}{letter}_{scene}" for scene in scenes]
    return sorted(names)


def plan(
    release: dict[str, dict[str, int]], turns_per_session: int | None, seed: int
) -> list[Turn]:
    """Decide every turn.

    Args:
        release: "Session<n>" to code to count, the true table.
        turns_per_session: Size, at least MIN_TURNS; None for the counts of the release.
        seed: Decides everything that is drawn.

    Returns:
        Turns sorted by session and id.
    """
    rng = np.random.default_rng(seed)
    full = turns_per_session is None
    improvised = _improvised_counts(release) if full else None
    turns = []
    for session in range(1, 6):
        counts = release[f"Session{session}"] if full else _scaled(release, turns_per_session)
        # One (code, style, letter) for each turn.
        cells: list[tuple[str, str, str]] = []
        for code in CODES:
            num_improvised = improvised[session - 1][code] if full else (counts[code] + 1) // 2
            for k in range(counts[code]):
                style = "impro" if k < num_improvised else "script"
                cells.append((code, style, "FM"[k % 2]))
        if full:
            cells = _with_actress_counts(cells, FOUR_CLASS_FEMALE[session - 1])
        order = rng.permutation(len(cells))
        turns += _in_dialogs(session, [cells[i] for i in order], rng)
    turns.sort(key=lambda t: t.turn)
    for k in range(NUM_OUTSIDE):
        place = k * len(turns) // NUM_OUTSIDE
        old = turns[place]
        turns[place] = Turn(old.turn, old.code, old.text, OUTSIDE[k % 2], old.rendering)
    return turns


def _scaled(release: dict[str, dict[str, int]], size: int) -> dict[str, int]:
    """Share size turns out like the whole release, with some of every code."""
    totals = {code: sum(counts[code] for counts in release.values()) for code in CODES}
    exact = {c: totals[c] * (size - MIN_TURNS) / sum(totals.values()) for c in CODES}
    counts = {code: LEAST[code] + int(exact[code]) for code in CODES}
    by_rest = sorted(CODES, key=lambda c: int(exact[c]) - exact[c])
    for code in by_rest[: size - sum(counts.values())]:
        counts[code] += 1
    return counts


def _improvised_counts(release: dict[str, dict[str, int]]) -> list[dict[str, int]]:
    """Find improvised counts per session and code that agree with every total that is known.

    Their true values are not known, only the totals per code and the four-class totals per
    session; any whole numbers between 0 and the count of the cell will do.
    """
    from scipy.optimize import milp  # slow to import, and small trees do without

    upper = np.array([[release[f"Session{s}"][c] for c in CODES] for s in range(1, 6)])
    rows, totals = [], []
    for j, code in enumerate(CODES):
        row = np.zeros(upper.shape)
        row[:, j] = 1
        rows.append(row.ravel())
        totals.append(IMPROVISED[code])
    for s, total in enumerate(FOUR_CLASS_IMPROVISED):
        row = np.zeros(upper.shape)
        row[s, : len(FOUR_CLASSES)] = 1
        rows.append(row.ravel())
        totals.append(total)
    result = milp(
        np.zeros(upper.size),
        integrality=np.ones(upper.size),
        bounds=(0, upper.ravel()),
        constraints=(np.array(rows), totals, totals),
    )
    if not result.success:
        raise RuntimeError(f"no solution: {result.message}")
    cells = np.round(result.x).astype(int).reshape(upper.shape)
    return [dict(zip(CODES, row.tolist(), strict=True)) for row in cells]


def _with_actress_counts(
    cells: list[tuple[str, str, str]], num_female: int
) -> list[tuple[str, str, str]]:
    """Give num_female of the four-class turns to the actress and the others to the actor."""
    place = [i for i, cell in enumerate(cells) if cell[0] in FOUR_CLASSES]
    # Spread evenly: turn number r is hers where the running share passes a whole number.
    for r, i in enumerate(place):
        hers = (r + 1) * num_female // len(place) > r * num_female // len(place)
        cells[i] = (*cells[i][:2], "F" if hers else "M")
    return cells


def _in_dialogs(
    session: int, cells: list[tuple[str, str, str]], rng: np.random.Generator
) -> list[Turn]:
    """Put turns into dialogues of their style, those with a suffix first, and number them."""
    places = {"impro": [], "script": []}
    for dialog in rng.permutation(dialogs(session)).tolist():
        scenes = places["impro" if "_impro" in dialog else "script"]
        scenes.insert(0 if dialog[-1] in "ab" else len(scenes), dialog)
    used: Counter[str] = Counter()
    turns = []
    for code, style, letter in cells:
        dialog = places[style][used[style] % len(places[style])]
        used[style] += 1
        number = used[f"{dialog}_{letter}"]
        used[f"{dialog}_{letter}"] += 1
        text = SCRIPT[rng.integers(len(SCRIPT))] if style == "script" else improvise(rng)
        rendering = render(code, VOICES[f"Ses0{session}{letter}"], rng)
        vad = tuple(round(2 * value) / 2 for value in rendering.vad)  # means of few raters
        turns.append(Turn(f"{dialog}_{letter}{number:03d}", code, text, vad, rendering))
    return turns
