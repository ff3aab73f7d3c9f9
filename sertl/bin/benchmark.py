# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The table and heat map of tools/tables/benchmark.sh, from the list of its cells.

A line of the list: corpus, encoder, method, experiment, and why it was not run, parted by tabs.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from sertl.atomic import write_bytes, write_text
from sertl.cli import run
from sertl.errors import SertlError
from sertl.report.benchmark_table import (
    Cell,
    benchmark_table,
    corpora_table,
    draw,
    published_table,
)
from sertl.score.pairing import load_scored
from sertl.score.references import load_references


def read_cells(path: Path, set_name: str) -> list[Cell]:
    """The cells, with the scores of those that were run."""
    cells = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split("\t")
        if len(words) != 5:
            raise SertlError(f"{path}:{number}: {len(words)} values, expected 5")
        corpus, encoder, method, exp, why = words
        cell = Cell(corpus, encoder, method, Path(exp), why)
        cells.append(cell if why else replace(cell, run=load_scored(exp, set_name)))
    if not cells:
        raise SertlError(f"{path}: no cells")
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path, help="the list")
    parser.add_argument("--set", default="test", help="default: %(default)s")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--reference", type=Path, help="conf/reference_results.yaml")
    args = parser.parse_args()
    cells = read_cells(args.cells, args.set)
    table = benchmark_table(cells)
    parts = ["# Benchmark\n", table.markdown(), "![UA](heat_map.png)\n"]
    parts += ["## Corpora\n", corpora_table(cells).markdown()]
    if args.reference:
        published = published_table(cells, load_references(args.reference))
        if published is not None:
            parts += ["## Published\n", published.markdown()]
    write_bytes(args.out / "heat_map.png", draw(cells))
    write_text(args.out / "RESULTS.md", "\n".join(parts))
    print(table.text(), end="")


if __name__ == "__main__":
    run(main)
