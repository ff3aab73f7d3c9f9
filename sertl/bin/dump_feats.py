# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 3: dump the hidden states of a frozen upstream for every utterance of a data directory.

A finished dump is recognised and skipped, an interrupted one goes on where it was.
"""

import argparse
from pathlib import Path

from sertl.cli import run
from sertl.config import parse_overrides
from sertl.data.datadir import read_data_dir
from sertl.errors import SertlError
from sertl.fingerprint import Progress, read_fingerprint
from sertl.nn.frame_statistics import parse_statistics
from sertl.shard import Shard
from sertl.stages.dump import BATCH_SEC, dump_feats
from sertl.upstream.build import load_conf
from sertl.upstream.precision import chosen_dtype


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="data directory, e.g. data/all")
    parser.add_argument("--upstream", required=True, help="a file in conf/upstream, without .yaml")
    parser.add_argument("--conf-dir", required=True, type=Path, help="folder that holds upstream/")
    parser.add_argument("--out", required=True, help="e.g. dump/whisper_tiny_en")
    parser.add_argument("--ckpt", default="", help="local weights: a file or a folder")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="e.g. dtype=bf16 pad_to_30s=true"
    )
    parser.add_argument("--layers", default="", help="all, or indices: '6 9' (default: the conf's)")
    parser.add_argument(
        "--nj", default=1, type=int, help="CPU processes of one thread (default: %(default)s)"
    )
    parser.add_argument(
        "--ngpu",
        default=0,
        type=int,
        help="GPUs, one process each, instead of the CPU (default: 0)",
    )
    parser.add_argument(
        "--float32",
        action="store_true",
        help="store 32 bits per value instead of 16, twice the size",
    )
    parser.add_argument(
        "--batch-sec",
        default=None,
        type=float,
        help="padded seconds of audio per forward pass (default: "
        f"{BATCH_SEC['cpu']:g} on a CPU, {BATCH_SEC['cuda']:g} on a GPU)",
    )
    pool_options(parser)
    parser.add_argument(
        "--shard",
        default="",
        metavar="i/N",
        help="only the i-th of N parts, on any machine that shares the disk; then once without it",
    )
    parser.add_argument(
        "--merge", action="store_true", help="join what shards have written, and write nothing"
    )
    parser.add_argument(
        "--resumed",
        action="store_true",
        help="an encoder will go on from the highest of these layers (upstream_conf.from_layer): "
        "refuse at once one that cannot",
    )
    parser.add_argument("--redo", action="store_true", help="delete what is there and start again")
    return parser.parse_args()


def pool_options(parser: argparse.ArgumentParser) -> None:
    """What is stored of an utterance, if not its frames."""
    parser.add_argument(
        "--pool",
        default="",
        help="store statistics of the frames instead of them, a vector of each utterance: mean, "
        "std, max, min, q25 and so on, as in mean,std",
    )
    parser.add_argument(
        "--normalise", action="store_true", help="with --pool: layer-normalise every frame first"
    )
    parser.add_argument(
        "--frames",
        default="",
        help="with --pool: a dump of frames that saves running the encoder, if it is there",
    )


def main() -> None:
    args = arguments()
    if args.shard and args.merge:
        raise SertlError("--merge joins all shards: without --shard")
    changes = parse_overrides(args.set)
    if args.ckpt:
        changes["ckpt"] = args.ckpt
    if args.layers:
        changes["layers"] = parse_layers(args.layers)
    conf = load_conf(args.upstream, args.conf_dir / "upstream", changes)
    there = read_fingerprint(args.out)
    if there is None or there["state"] != Progress.DONE.value:  # else nothing is computed
        conf["dtype"] = chosen_dtype(conf["dtype"], "cuda" if args.ngpu else "cpu")
    elif conf["dtype"] == "auto":
        conf["dtype"] = there["inputs"].get("dtype", "float32")
    data = read_data_dir(args.data)
    dump_feats(
        data,
        conf,
        args.out,
        compress=not args.float32,
        nj=args.nj,
        ngpu=args.ngpu,
        batch_sec=args.batch_sec,
        redo=args.redo,
        pool=parse_statistics(args.pool),
        normalise=args.normalise,
        frames=args.frames or None,
        shard=Shard.parse(args.shard),
        merge=args.merge,
        resumed=args.resumed,
    )


def parse_layers(text: str) -> str | list[int]:
    """Turn "all" or "6 9" into a value for the conf's `layers`."""
    if text == "all":
        return text
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() for word in words):
        raise SertlError(f"--layers takes all, or indices as in \"6 9\", got '{text}'")
    return [int(word) for word in words]


if __name__ == "__main__":
    run(main)
