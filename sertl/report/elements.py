# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a report page is made of, besides tables."""

import base64
from dataclasses import dataclass, field

from sertl.report.tables import Table


@dataclass
class Text:
    """A paragraph; `code` and **bold** are understood, nothing else."""

    text: str


@dataclass
class Heading:
    """A heading inside a section."""

    text: str


@dataclass
class Code:
    """Text printed as it is, folded away if `summary` names it."""

    text: str
    summary: str = ""


@dataclass
class Figure:
    """A PNG that the page carries inside.

    Attributes:
        name: File name without .png, for the copy beside the report.
        png: The image.
        alt: What it shows, in words, for those who cannot see it.
    """

    name: str
    png: bytes
    alt: str

    @property
    def width_px(self) -> int:
        """Width on the page: figures are drawn at 144 dots an inch, pages count 96."""
        return int.from_bytes(self.png[16:20], "big") * 96 // 144  # from the PNG header

    @property
    def source(self) -> str:
        """A data: address, so that the page needs no other file."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


Element = Table | Text | Heading | Code | Figure


@dataclass
class Section:
    """A titled part of the page.

    Attributes:
        id: Its anchor.
        title: Heading.
        elements: Content.
        in_markdown: Whether RESULTS.md has it too (figures are left out there).
    """

    id: str
    title: str
    elements: list[Element] = field(default_factory=list)
    in_markdown: bool = True

    def markdown(self) -> str:
        """The section's text and tables."""
        parts = [f"## {self.title}\n"]
        for element in self.elements:
            if isinstance(element, Table):
                parts.append(element.markdown())
            elif isinstance(element, Text):
                parts.append(element.text + "\n")
        return "\n".join(parts)
