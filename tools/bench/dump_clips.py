# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""One way of getting features, timed in a process of its own.

For the benchmarks of the dump: memory is that of this process and its workers, what they share
counted once. The clock starts when the upstream is loaded (by the first worker, where there are
several).
"""

import shutil
import time
from pathlib import Path

import soundfile
import torch
import worker
from machine import PeakOfAll

from sertl.data.audio import read_audio
from sertl.data.datadir import Utterance
from sertl.stages.dump_chunk import Job, cut_chunks
from sertl.stages.dump_workers import run_chunks
from sertl.upstream.build import dump_layers


def find_clips(wav_dir: Path, number: int) -> list[Utterance]:
    """The first number WAV files of a folder."""
    files = sorted(wav_dir.glob("*.wav"))[:number]
    if not files:
        raise SystemExit(f"no .wav files in {wav_dir}")
    durs = [soundfile.info(file).duration for file in files]
    return [Utterance(f.stem, "spk", str(f), d) for f, d in zip(files, durs, strict=True)]


def run_dump(utts: list[Utterance], conf: dict, out: Path, nj: int, batch_sec: float) -> float:
    """The dump: read, encode, compress, write."""
    job = Job(conf, out, dump_layers(conf), True, batch_sec)
    begun = None
    for _ in run_chunks(job, cut_chunks(utts), ["cpu"] * nj):
        begun = begun or time.monotonic()
    return time.monotonic() - begun


def run_s3prl_loop(utts: list[Utterance], conf: dict, bf16: bool) -> float:
    """S3PRL as its documentation shows it: one clip at a time; features are not even kept."""
    from s3prl.nn import S3PRLUpstream

    model = S3PRLUpstream(conf["name_local"], path_or_url=conf["ckpt"]).eval()
    begun = time.monotonic()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        for utt in utts:
            wav = torch.from_numpy(read_audio(utt.wav))
            model(wav[None], torch.tensor([len(wav)]))
    return time.monotonic() - begun


def main() -> None:
    args = worker.start(__doc__)
    utts = find_clips(Path(args["wav_dir"]), args["clips"])
    with PeakOfAll() as memory:
        if args["row"].startswith("s3prl"):
            sec = run_s3prl_loop(utts, args["conf"], args["row"] == "s3prl bf16")
        else:
            out = Path(args["out"])
            shutil.rmtree(out, ignore_errors=True)
            sec = run_dump(utts, args["conf"], out, args["nj"], args["batch_sec"])
    audio = sum(u.dur_sec for u in utts)
    worker.report(sec=sec, audio_sec=audio, peak_gib=memory.gib)


if __name__ == "__main__":
    main()
