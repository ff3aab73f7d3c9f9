# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Tables as lists of words, written as Markdown or aligned text, and how numbers are printed."""

import re
from dataclasses import dataclass, field

NONE = "–"


@dataclass
class Table:
    """Header and rows of words; the first column names the row.

    Attributes:
        caption: One line: what and in which unit.
        header: Column names.
        rows: As many words each as the header.
        notes: Printed below, a line each.
    """

    caption: str
    header: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)

    def is_number(self, column: int) -> bool:
        """Whether a column is to be aligned to the right: numbers and dashes only."""
        words = [row[column] for row in self.rows]
        return column > 0 and all(re.fullmatch(r"[<\-+]? ?\d.{0,30}|–", word) for word in words)

    def markdown(self) -> str:
        """A Markdown table with its caption above and its notes below."""
        align = ["---:" if self.is_number(i) else "---" for i in range(len(self.header))]
        lines = [self.caption, ""] if self.caption else []
        for row in (self.header, align, *self.rows):
            lines.append("| " + " | ".join(_escape(word) for word in row) + " |")
        return "\n".join([*lines, *(f"\n{note}" for note in self.notes)]) + "\n"

    def text(self) -> str:
        """Aligned columns for a terminal."""
        table = [self.header, *self.rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(self.header))]
        lines = [self.caption] if self.caption else []
        for row in table:
            words = [
                word.rjust(width) if self.is_number(i) else word.ljust(width)
                for i, (word, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(words).rstrip())
        return "\n".join([*lines, *self.notes]) + "\n"


def percent(value: float | None) -> str:
    """0.7098 is 70.98; None is a dash."""
    return NONE if value is None else f"{100 * value:.2f}"


def decimal(value: float | None, digits: int = 3) -> str:
    """A plain number with so many decimals; None is a dash."""
    return NONE if value is None else f"{value:.{digits}f}"


def spanned(interval: list[float] | tuple[float, float] | None) -> str:
    """An interval of fractions, in per cent: "68.9 to 73.0"."""
    if interval is None:
        return NONE
    return f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f}"


def with_std(mean: float | None, std: float | None, scale: float = 100, digits: int = 2) -> str:
    """ "71.15 ± 5.14"; the mean alone if there is no deviation."""
    if mean is None:
        return NONE
    text = f"{scale * mean:.{digits}f}"
    return text if std is None else f"{text} ± {scale * std:.{digits}f}"


def p_value(p: float) -> str:
    """Three decimals, or "< 0.001"."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _escape(word: str) -> str:
    return word.replace("|", "\\|").replace("\n", " ")
