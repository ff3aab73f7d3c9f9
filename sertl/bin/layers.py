# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Which layer of a frozen encoder carries emotion: UA of each, and what training would choose.

  ./run.sh --upstream X --method linear --stop-stage 3     vectors of all layers, and folds
  layers --data data --dump dump/X.mean-std --out exp/layers_X

Writes NAME.json (the numbers), NAME.md and NAME.png.
"""

import argparse
from pathlib import Path
from typing import get_args

import torch

from sertl.atomic import write_bytes, write_json, write_text
from sertl.cli import run
from sertl.report.layer_table import layer_figure, layer_rows, layer_table
from sertl.schema.training_keys import NormMode
from sertl.stages.fold_vectors import open_vectors
from sertl.stages.layer_scan import scan_layers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder of the folds")
    parser.add_argument("--dump", required=True, help="pooled hidden states (--pool mean,std)")
    parser.add_argument(
        "--statistics", nargs="+", default=["mean", "std"], help="default: mean std"
    )
    parser.add_argument("--folds", nargs="*", type=int, default=[], help="default: all")
    parser.add_argument(
        "--speaker-norm", default="none", choices=get_args(NormMode), help="default: none"
    )
    parser.add_argument("--out", type=Path, help="beginning of the files to write")
    args = parser.parse_args()
    torch.set_num_threads(1)
    layers, folds = open_vectors(args.data, args.dump, args.statistics, args.folds)
    norm = {"mode": args.speaker_norm, "prior": None, "scale": False}
    found = scan_layers(layers, folds, norm)
    rows = layer_rows(found)
    table = layer_table(found, rows)
    print(table.text(), end="")
    if args.out:
        write_json(f"{args.out}.json", found)
        write_text(f"{args.out}.md", table.markdown())
        write_bytes(f"{args.out}.png", layer_figure(found, rows))


if __name__ == "__main__":
    run(main)
