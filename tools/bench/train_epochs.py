# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Some epochs of training, timed in a process of its own.

For the benchmarks of training: the real loop, model and data set; labels are arbitrary, as speed
does not depend on them. There is no dev set and nothing is decoded.
"""

import json
import os
import tempfile
from pathlib import Path

import torch
import worker
from dump_clips import find_clips
from machine import CONF_DIR, peak_gib

from sertl.data.datadir import DataDir, Utterance
from sertl.runs import Run
from sertl.stages.experiment import resolve
from sertl.stages.phase import Inputs, OpenPhase, spec_of
from sertl.train.loop import Trainer

LABELS = list("abcdefg")


def make_data(wav_dir: str, number: int) -> DataDir:
    """The first clips of a folder, with the labels in turn."""
    utts = {
        u.utt: Utterance(u.utt, u.spk, u.wav, u.dur_sec, emo=LABELS[i % len(LABELS)])
        for i, u in enumerate(find_clips(Path(wav_dir), number))
    }
    return DataDir(Path(wav_dir), utts, LABELS, None)


def resident_gib() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**30


def main() -> None:
    args = worker.start(__doc__)
    conf = resolve(CONF_DIR, args["upstream"], args["method"], args["settings"], args["ckpt"])
    phase = conf["phases"][0]
    data = make_data(args["wav_dir"], args["clips"])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        run = Run(out, 1, 1)
        inputs = Inputs({**conf, "dump": args["dump"]}, phase, run)
        spec = spec_of(phase, inputs, data, None)
        opened = OpenPhase(conf, phase, run, inputs, data, None, None, spec)
        train = opened.dataset(data, training=True)
        trainer = Trainer(opened.build(), phase, train, None, out, 1, "last", torch.device("cpu"))
        gib, write = [], trainer.record.end_epoch
        trainer.record.end_epoch = lambda *a, **k: gib.append(resident_gib()) or write(*a, **k)
        trainer.run()
        lines = (out / "log.jsonl").read_text().splitlines()
    epochs = [entry for entry in map(json.loads, lines) if entry["kind"] == "train"]
    times = {key: [epoch[key] for epoch in epochs] for key in ("sec", "data_wait_sec")}
    worker.report(
        **times,
        updates=epochs[0]["update"],
        peak_gib=peak_gib(),
        first_gib=gib[0],
        later_gib=gib[-1],
    )


if __name__ == "__main__":
    main()
