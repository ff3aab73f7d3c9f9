# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What the benchmarks of training updates share: their options, and rows measured in turn."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from machine import measure


@dataclass
class Row:
    """Seconds of the updates of all rounds but the first of each; peak; the last report."""

    seconds: list[float] = field(default_factory=list)
    peak_gib: float = 0.0
    report: dict = field(default_factory=dict)


def options(doc: str, **defaults: float) -> argparse.ArgumentParser:
    """A parser with sizes (blocks, size, batch, micro_batch, seconds) and how often to measure."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words = {"size": "D", "batch": "clips per update", "seconds": "of a clip"}
    for name, value in defaults.items():
        words_of = f"{words[name]} (default: %(default)s)" if name in words else "%(default)s"
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=type(value), default=value, help=words_of)
    parser.add_argument("--steps", type=int, default=4, help="updates a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="all by default"
    )
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options, checked."""
    args = parser.parse_args()
    if args.batch % args.micro_batch or args.steps < 2:
        parser.error("--batch must be a multiple of --micro-batch, and --steps at least 2")
    return args


def measure_rows(script: str, rows: dict[str, dict], args: argparse.Namespace) -> dict[str, Row]:
    """Run every row in a process of its own, in turn, several rounds.

    Args:
        script: A worker that reports sec and peak_gib; it gets the row's arguments and the options.
        rows: Name -> arguments.
        args: Of parse().
    """
    sizes = {k: v for k, v in vars(args).items() if k not in ("rounds", "threads")}
    found = {name: Row() for name in rows}
    for _ in range(args.rounds):
        for name, arguments in rows.items():
            result = measure(script, args.threads, **{**sizes, **arguments})
            row = found[name]
            row.seconds += result["sec"][1:]
            row.peak_gib = max(row.peak_gib, result["peak_gib"])
            row.report = result
    return found


def describe(args: argparse.Namespace, rows: Sequence[Row], precision: str) -> str:
    """Sizes, precision and device of a table."""
    return (
        f"{args.blocks} blocks of size {args.size}; {args.batch} clips of {args.seconds:g} s an "
        f"update, {args.micro_batch} at a time; {precision}, {args.threads} threads, "
        f"{rows[0].report['device']}"
    )
