# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Fine-tuning a whole encoder on audio: sertl's training loop against Hugging Face's Trainer.

HuBERT-base with random weights, its convolutions frozen, no dropout, a mean and a head above; the
same clips in the same batches, float32 or bf16 autocast, AdamW, gradients clipped. Rows: Hugging
Face's Trainer on HubertForSequenceClassification; `--method finetune` on audio; the same on what
the convolutions gave, dumped (upstream_conf.from_layer=0; the dump itself is not timed). Reading
and padding are in it. Each row in a fresh process, in turn, several rounds; the first epoch, which
allocates, is not counted; the last column says what memory the later epochs added.
Goal: at least 1.3 times the updates of the Trainer.

Example: python tools/bench/bench_live.py --wav-dir /corpora/emodb/wav --clips 32 --rounds 1
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

import torch
from machine import CONF_DIR, measure, print_machine, print_table, summary
from peft_steps import hubert
from train_epochs import make_data

from sertl.stages.dump import dump_feats
from sertl.upstream.build import load_conf

HF, LIVE, CACHED = "transformers.Trainer", "sertl", "sertl, convolutions dumped"
SETTINGS = [
    "start=random",
    "model_conf.pooling=mean",
    "model_conf.combine=mix",
    "model_conf.hidden=256",
    "data_conf.layers=last",
    "data_conf.crop_sec=0",
    "data_conf.time_mask=0",
    "data_conf.class_weights=none",
    "select_conf.lambdas=[1.0]",
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wav-dir", required=True, type=Path, help="e.g. EmoDB's wav folder")
    parser.add_argument("--clips", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=8, help="clips an update (%(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--bf16", action="store_true", help="autocast, in all rows")
    parser.add_argument("--rounds", type=int, default=2, help="default: %(default)s")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="all by default"
    )
    args = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        found = rows(args, folder)
    precision = "bf16 autocast" if args.bf16 else "float32"
    print(f"{args.clips} clips, {args.batch} an update, {precision}, {args.threads} threads")
    first = median(s for r in found[HF] for s in later(r))
    table = []
    for name, results in found.items():
        seconds = [s for r in results for s in later(r)]
        grown = max(r["later_gib"] - r["first_gib"] for r in results)
        table.append(
            [
                name,
                summary(seconds),
                f"{first / median(seconds):.2f}",
                f"{max(r['peak_gib'] for r in results):.2f} GiB",
                f"{grown:+.2f} GiB",
            ]
        )
    print_table(["row", "an update", "times as fast", "peak memory", "growth"], table)


def rows(args: argparse.Namespace, folder: str) -> dict[str, list[dict]]:
    """What the processes of each row reported."""
    torch.manual_seed(0)
    ckpt = f"{folder}/hubert"
    hubert(12, 768).save_pretrained(ckpt)
    Path(ckpt, "preprocessor_config.json").write_text(
        '{"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": false}'
    )
    conf = load_conf("hubert_base", CONF_DIR / "upstream", {"ckpt": ckpt})
    data = make_data(str(args.wav_dir), args.clips)
    dump_feats(data, {**conf, "layers": [0]}, f"{folder}/dump", nj=args.threads, compress=False)
    same = {"wav_dir": str(args.wav_dir), "clips": args.clips, "ckpt": ckpt}
    shape = {"batch": args.batch, "epochs": args.epochs, "bf16": args.bf16}
    ours = {**same, "upstream": "hubert_base", "method": "finetune"}
    common = [*SETTINGS, f"data_conf.batch_size={args.batch}", f"optim_conf.epochs={args.epochs}"]
    if args.bf16:
        common.append("optim_conf.autocast=bf16")
    dumped = [*common, "upstream_conf.from_layer=0"]
    calls = {
        HF: ("hf_epochs.py", {**same, **shape}),
        LIVE: ("train_epochs.py", {**ours, "settings": common, "dump": ""}),
        CACHED: ("train_epochs.py", {**ours, "settings": dumped, "dump": f"{folder}/dump"}),
    }
    found: dict[str, list[dict]] = {name: [] for name in calls}
    for _ in range(args.rounds):
        for name, (script, arguments) in calls.items():
            found[name].append(measure(script, args.threads, **arguments))
    return found


def later(result: dict) -> list[float]:
    """Seconds an update, of each epoch but the first."""
    return [sec / result["updates"] for sec in result["sec"][1:]]


if __name__ == "__main__":
    main()
