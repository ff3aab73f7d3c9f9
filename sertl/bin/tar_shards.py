# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Corpora as tar shards in WebDataset's layout, for object stores and shared disks.

write: a data directory's recordings and labels, as they are, to shards
read:  a CSV of what shards hold, with the place of each recording, for egs/table

python -m sertl.bin.tar_shards write --data data/all --out shards
python -m sertl.bin.tar_shards read shards/*.tar --out clips.csv
"""

import argparse
from pathlib import Path

from sertl.cli import run
from sertl.data.datadir import read_data_dir
from sertl.data.tar_shards import read_shards, write_csv, write_shards
from sertl.errors import check_count


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    write = kinds.add_parser("write", help="a data directory to shards")
    write.add_argument("--data", required=True, help="data directory")
    write.add_argument("--out", required=True, type=Path, help="folder of the shards")
    write.add_argument("--max-mib", type=int, default=1024, help="of audio (default: %(default)s)")
    write.add_argument("--redo", action="store_true", help="write them again")
    read = kinds.add_parser("read", help="shards to a table")
    read.add_argument("shards", nargs="+", type=Path, help="tar files")
    read.add_argument("--out", required=True, type=Path, help="CSV to write")
    args = parser.parse_args()
    if args.kind == "write":
        check_count("--max-mib", args.max_mib)
        made = write_shards(read_data_dir(args.data), args.out, args.max_mib << 20, args.redo)
        print(f"{args.out}: {len(made)} shards")
    else:
        print(f"{args.out}: {write_csv(read_shards(args.shards), args.out)} utterances")


if __name__ == "__main__":
    run(main)
