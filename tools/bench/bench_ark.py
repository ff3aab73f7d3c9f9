# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Reading arks into batches against the training step that the batches feed.

The share of an epoch that the training loop waits for data while a thread reads ahead, with nothing
kept in memory (data_conf.cache_gib=0), for the probe and for sap. The probe's step is the cheapest
there is, a mean and two small layers.
Goal: waiting under 10 %. The arks come from the system's file cache after the first epoch, as they
do in a run over many epochs; the first one, which may read the disk, is shown apart.
"""

import argparse
import statistics
import tempfile

from bench_epoch import add_options, prepare
from machine import measure, print_machine, print_table

METHODS = ("probe", "sap")
CACHES = {"arks": "0.0", "memory": "100.0"}
EPOCHS = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    args = parser.parse_args()

    print_machine()
    found: dict[tuple[str, str], list[dict]] = {}
    with tempfile.TemporaryDirectory() as folder:
        ckpt, dump, audio_sec = prepare(args, folder)
        for _ in range(args.rounds):
            for method in METHODS:
                for cache, gib in CACHES.items():
                    result = measure(
                        "train_epochs.py",
                        args.threads,
                        upstream=args.upstream,
                        ckpt=ckpt,
                        dump=dump,
                        method=method,
                        settings=[f"data_conf.cache_gib={gib}", f"optim_conf.epochs={EPOCHS}"],
                        wav_dir=str(args.wav_dir),
                        clips=args.clips,
                    )
                    found.setdefault((method, cache), []).append(result)
    print(f"{args.clips} clips, {audio_sec:.0f} s of audio, {args.upstream}; updates of 32 clips")
    table = []
    for (method, cache), results in found.items():
        later = [
            (sec, wait)
            for r in results
            for sec, wait in list(zip(r["sec"], r["data_wait_sec"], strict=True))[1:]
        ]
        step = statistics.median(sec for sec, _ in later) / results[0]["updates"]
        share = statistics.median(wait / sec for sec, wait in later)
        first = statistics.median(r["data_wait_sec"][0] / r["sec"][0] for r in results)
        peak = max(r["peak_gib"] for r in results)
        table.append(
            [
                method,
                cache,
                f"{1000 * step:.1f} ms",
                f"{100 * share:.1f} %",
                f"{100 * first:.1f} %",
                f"{peak:.2f} GiB",
            ]
        )
    head = ["method", "features from", "per update", "waiting", "in the first epoch", "peak memory"]
    print_table(head, table)


if __name__ == "__main__":
    main()
