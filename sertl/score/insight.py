# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What a method has to show of itself: `<phase>/insight*.png` and `insight*.md`.

A method writes such files beside its run.json; the report appends them as they are. A figure and a
text of one name belong together. Of Markdown, headings, paragraphs, lists and tables are known.
"""

import re

from sertl.score.blocks import Block, Bullets, Figure, Heading, Text
from sertl.score.runs import PhaseRun
from sertl.score.tables import Table

MAX_BYTES = 3_000_000  # of figures in one page; further ones are named


def insight_blocks(phases: dict[str, list[PhaseRun]]) -> list[Block]:
    """Every insight file of every phase, fold and seed, in this order; [] if there is none."""
    blocks: list[Block] = []
    size = 0
    for name, runs in phases.items():
        for p in sorted(runs, key=lambda p: (p.cell.seed, p.cell.fold)):
            files = sorted(f for f in p.folder.glob("insight*") if f.suffix in (".png", ".md"))
            if files:
                blocks.append(Heading(f"{name}, seed {p.cell.seed}, fold {p.cell.fold}"))
            for file in sorted(files, key=lambda f: (f.stem, f.suffix != ".png")):
                if file.suffix == ".md":
                    blocks += parse_markdown(file.read_text(encoding="utf-8"))
                    continue
                size += file.stat().st_size
                if size > MAX_BYTES:
                    blocks.append(Text(f"`{file}` is not shown: the page would grow too large."))
                    continue
                where = f"phase {name}, seed {p.cell.seed}, fold {p.cell.fold}"
                title = file.stem.removeprefix("insight").strip("_-").replace("_", " ")
                alt = f"Figure {title or 'insight'} written by {where}"
                blocks.append(Figure(file.stem, file.read_bytes(), alt))
    return blocks


def parse_markdown(text: str) -> list[Block]:
    """Headings, paragraphs, "-" or "*" lists and pipe tables; parted by blank lines."""
    blocks: list[Block] = []
    for chunk in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in chunk.splitlines()]
        while lines and re.match(r"#+ ", lines[0]):
            blocks.append(Heading(lines.pop(0).lstrip("#").strip()))
        if not lines:
            continue
        if len(lines) > 1 and lines[0].startswith("|") and re.fullmatch(r"[|:\s-]+", lines[1]):
            header, _, *rows = [_cells(line) for line in lines]
            width = len(header)
            blocks.append(Table("", header, [(r + [""] * width)[:width] for r in rows]))
        elif all(re.match(r"[-*] ", line) for line in lines):
            blocks.append(Bullets([line[2:] for line in lines]))
        else:
            blocks.append(Text(" ".join(lines)))
    return blocks


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
