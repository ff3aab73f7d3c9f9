# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""dump_feats against S3PRL's own loop, on a HuBERT of base size with random weights.

Side by side: all rows run in turn, several rounds, each in a fresh process; medians are printed.
The dump reads audio, encodes, compresses and writes all 13 layers in 2 processes of one thread; the
loop reads and encodes one clip at a time with 2 threads and keeps nothing. Loading is not timed.
Then the features are compared: the dump's float32 and bf16 against S3PRL's float32.
Goal: float32 at least 1.0 x, bf16 at least 1.7 x with a relative error of at most 1 %.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import torch
from dump_clips import find_clips
from hubert_base import save_hubert_base
from machine import CONF_DIR, measure, print_machine, print_table, summary

from sertl.data.ark import read_array, read_scp
from sertl.data.audio import read_audio
from sertl.stages.dump import BATCH_SEC
from sertl.upstream.build import load_conf

ROWS = {  # row: (dtype of the dump, threads of the process)
    "s3prl float32": (None, 2),
    "s3prl bf16": (None, 2),
    "dump float32": ("float32", 1),
    "dump bf16": ("bf16", 1),
}
COMPARED = 8  # clips


def errors(utts, ckpt: Path, out: Path) -> list[float]:
    """Relative error of each layer of a dump: |dump - S3PRL| / |S3PRL|, over the first clips."""
    from s3prl.nn import S3PRLUpstream

    model = S3PRLUpstream("hubert_local", path_or_url=str(ckpt)).eval()
    specs = {}
    for layer in range(model.num_layers):
        for scp in (out / f"layer{layer}").glob("*.scp"):
            specs.update({(layer, utt): spec for utt, spec in read_scp(scp).items()})
    squares = torch.zeros(model.num_layers, 2)
    for utt in utts[:COMPARED]:
        wav = torch.from_numpy(read_audio(utt.wav))
        with torch.no_grad():
            states, _ = model(wav[None], torch.tensor([len(wav)]))
        for layer, state in enumerate(states):
            ours = torch.from_numpy(read_array(specs[layer, utt.utt], utt.utt))
            squares[layer, 0] += (ours - state[0]).square().sum()
            squares[layer, 1] += state[0].square().sum()
    return (squares[:, 0] / squares[:, 1]).sqrt().tolist()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wav-dir", required=True, type=Path, help="e.g. EmoDB's wav folder")
    parser.add_argument("--clips", type=int, default=60, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--nj", type=int, default=2, help="processes of the dump (default: 2)")
    parser.add_argument(
        "--batch-sec", type=float, default=BATCH_SEC["cpu"], help="default: %(default)s"
    )
    args = parser.parse_args()

    print_machine()
    utts = find_clips(args.wav_dir, args.clips)
    with tempfile.TemporaryDirectory() as folder:
        ckpt = Path(folder) / "hubert_base.pt"
        save_hubert_base(ckpt)
        found = {row: [] for row in ROWS}
        for _ in range(args.rounds):
            for row, (dtype, threads) in ROWS.items():
                changes = {"ckpt": str(ckpt), "dtype": dtype or "float32"}
                result = measure(
                    "dump_clips.py",
                    threads,
                    row=row,
                    wav_dir=str(args.wav_dir),
                    clips=args.clips,
                    conf=load_conf("hubert_base", CONF_DIR / "upstream", changes),
                    out=f"{folder}/{dtype}",
                    nj=args.nj,
                    batch_sec=args.batch_sec,
                )
                found[row].append(result)
        seconds = {row: [r["sec"] for r in results] for row, results in found.items()}
        base = statistics.median(seconds["s3prl float32"])
        table = []
        for row, results in found.items():
            dtype = ROWS[row][0]
            error = errors(utts, ckpt, Path(folder) / dtype) if dtype else None
            table.append(
                [
                    row,
                    summary(seconds[row]),
                    f"{base / statistics.median(seconds[row]):.2f} x",
                    f"{max(r['peak_gib'] for r in results):.2f} GiB",
                    f"{100 * sum(error) / len(error):.3f} % (worst layer {100 * max(error):.3f} %)"
                    if error
                    else "-",
                ]
            )
    audio = found["dump bf16"][0]["audio_sec"]
    print(f"{len(utts)} clips, {audio:.0f} s of audio, HuBERT-base sizes, 13 layers x 768")
    print_table(["", "seconds", "speed", "peak memory", "error against S3PRL float32"], table)


if __name__ == "__main__":
    main()
