# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 3: the hidden states of a frozen upstream, written once and read by every later run.

    dump/<upstream>/layer<l>/feats.scp      utterance -> ark and offset; feats.<n>.ark beside it
    dump/<upstream>/utt2num_frames          frames of each utterance, the same for all layers
    dump/<upstream>/utt2num_samples         samples at 16 kHz
    dump/<upstream>/fingerprint.json        what it was made from
    dump/<upstream>.<statistics>/           the same with a vector of each utterance, not its frames

A run that was stopped, be it by kill -9, goes on after the last whole chunk (dump_chunk.py): each
process loses at most the chunk it was at, 10 to 50 utterances in a corpus of up to 20,000.
"""

import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from sertl import fingerprint
from sertl.data.ark import merge_scp
from sertl.data.audio import SAMPLE_RATE, audio_hash
from sertl.data.datadir import DataDir, Utterance, write_table
from sertl.data.feats import FeatsStore, encoder_differences
from sertl.errors import SertlError
from sertl.shard import Shard
from sertl.stages.dump_chunk import Chunk, Job, cut_chunks, pool_chunk, read_record
from sertl.stages.dump_shards import FOLDER, check_manifests, claimed, write_manifest
from sertl.stages.dump_workers import choose_devices, run_chunks
from sertl.upstream.build import describe, dump_layers
from sertl.upstream.encoder import Upstream

logger = logging.getLogger(__name__)

# Padded audio per forward pass, where none is asked for: more fills a GPU, less suits a CPU
BATCH_SEC = {"cpu": 8.0, "cuda": 30.0}
DUMP_VERSION = 1  # raise it when the same inputs would give other files
LOG_EVERY_SEC = 10.0
DONE = fingerprint.Progress.DONE.value
ENCODER = "encoder"  # what vectors are made from, if not from frames that were dumped


def dump_feats(
    data: DataDir,
    conf: dict,
    out: str | os.PathLike,
    compress: bool = True,
    nj: int = 1,
    ngpu: int = 0,
    batch_sec: float | None = None,
    redo: bool = False,
    chunk_utts: int = 0,
    tuned: tuple[Upstream, str] | None = None,
    pool: Sequence[str] = (),
    normalise: bool = False,
    frames: str | os.PathLike | None = None,
    shard: Shard | None = None,
    merge: bool = False,
    resumed: bool = False,
) -> None:
    """Dump the features of every utterance, unless that is done; go on where a run was stopped.

    Args:
        data: The utterances.
        conf: From upstream.build.load_conf; its `layers` are dumped.
        out: dump/<upstream>. The scp files hold it as given here, relative or not.
        compress: 16 bits per value instead of float32.
        nj: CPU processes; 1 works in this process.
        ngpu: If not 0, that many GPUs instead, one process each.
        batch_sec: Padded audio per forward pass, in seconds (None: BATCH_SEC), or a longer clip.
        redo: Delete what is there and start again.
        chunk_utts: Utterances that become visible together; 0 chooses by the size of the corpus.
        tuned: An encoder of other weights than the conf's, and their hash; in this process.
        pool: Statistics of the frames (nn/frame_statistics.py) to store instead of them.
        normalise: With pool: layer-normalise every frame first.
        frames: With pool: a dump of frames, which is used if it is there, finished and fits.
        shard: Write only this part; a run without it then writes what is missing, and joins all.
        merge: Only join what shards have written.
        resumed: An encoder will go on from the highest layer: refuse at once one that cannot.

    Raises:
        SertlError: Bad audio, other inputs than those of what is there, no space; missing shards.
    """
    batch_sec, devices = check_dump(data, batch_sec, nj, ngpu, here=tuned is not None)
    utts = list(data.utts.values())
    layers = dump_layers(conf)
    job = Job(conf, Path(out), layers, compress, batch_sec, tuple(pool), normalise, resumed)
    inputs = dump_inputs(utts, conf, compress and not pool, tuned and tuned[1])
    store = _pool_source(frames, inputs, job, redo) if pool else None
    with claimed(job, inputs, redo, shard) as progress:
        if progress is fingerprint.Progress.DONE:
            logger.info("%s: %d utterances are there already", job.out, len(utts))
            return
        chunks = cut_chunks(utts, chunk_utts)
        if merge:
            check_manifests(job, chunks)
        own = [c for c in chunks if shard is None or shard.takes(c.number)]
        _go_on(job, own, devices, store or (tuned and tuned[0]))
        if shard is not None:
            write_manifest(job, shard, own)
        else:
            _finish(job, chunks)


def _go_on(
    job: Job,
    chunks: Sequence[Chunk],
    devices: Sequence[str],
    source: Upstream | FeatsStore | None,
) -> None:
    """Write those of the chunks that are not whole."""
    todo = [chunk for chunk in chunks if read_record(job, chunk) is None]
    left, count = (sum(len(c.utts) for c in some) for some in (todo, chunks))
    if left < count:
        logger.info("%s: going on, %d of %d utterances left", job.out, left, count)
    _write_chunks(job, todo, devices, source)


def _finish(job: Job, chunks: Sequence[Chunk]) -> None:
    """Join all chunks, and say that the dump is done."""
    _join(job, chunks)
    fingerprint.finish(job.out)
    _tidy(job, chunks)
    logger.info(
        "%s: %d utterances, layers %s", job.out, sum(len(c.utts) for c in chunks), job.layers
    )


def check_dump(
    data: DataDir, batch_sec: float | None, nj: int, ngpu: int, here: bool
) -> tuple[float, list[str]]:
    """Refuse what cannot be dumped; return the seconds of a forward pass, and the devices.

    here: All in this very process, on the first device.
    """
    if not data.utts:
        raise SertlError(f"{data.path} has no utterances")
    if batch_sec is None:
        batch_sec = BATCH_SEC["cuda" if ngpu else "cpu"]
    if not batch_sec > 0:
        raise SertlError(f"--batch-sec is {batch_sec}, expected more than 0")
    return batch_sec, choose_devices(nj, ngpu)[: 1 if here else None]


def _pool_source(
    frames: str | os.PathLike | None, inputs: dict, job: Job, redo: bool
) -> FeatsStore | None:
    """The frames that vectors are made from, if any are there; what they are goes into inputs.

    What was begun from frames or from the encoder goes on from it: vectors of frames that were
    stored with 16 bits are not equal to the bit.
    """
    store = _frames_there(frames, inputs, job.layers)
    source = ENCODER if store is None else store.inputs["format"]
    begun = None if redo else fingerprint.read_fingerprint(job.out)
    if begun is not None:
        source = begun["inputs"].get("pooled_from", ENCODER)
        if source != ENCODER and store is None and begun["state"] != DONE:
            raise SertlError(
                f"{job.out} was begun from the frames in {frames}, which are not there or are "
                "others now; make it anew with --redo"
            )
    inputs |= {"pool": list(job.pool), "normalise": job.normalise, "pooled_from": source}
    return None if source == ENCODER else store


def _frames_there(
    frames: str | os.PathLike | None, inputs: dict, layers: Sequence[int]
) -> FeatsStore | None:
    """A finished dump of the frames of the same recordings by the same encoder, if there is one."""
    record = None if frames is None else fingerprint.read_fingerprint(frames)
    if record is None or record["state"] != DONE:
        return None
    found = record["inputs"]
    same = all(found.get(k) == inputs.get(k) for k in ("ids", "audio", "dump_version", "weights"))
    if not same or "pool" in found or encoder_differences(found, inputs):
        return None
    return FeatsStore(frames, layers) if {*layers} <= {*found["layers"]} else None


def _write_chunks(
    job: Job,
    todo: Sequence[Chunk],
    devices: Sequence[str],
    source: Upstream | FeatsStore | None,
) -> None:
    """Write what is not there yet, and leave no file behind that is not whole."""
    _check_space(job, todo)
    try:
        _sweep(job, todo)
        if isinstance(source, FeatsStore):
            logger.info("%s: pooling the frames in %s", job.out, source.dump)
            report(_pool_chunks(source, job, todo), todo)
            return
        with closing(run_chunks(job, todo, devices, source)) as done:
            report(done, todo)
    except OSError as error:  # of a full disk, Python does not say which
        error.filename = error.filename or str(job.out)
        raise
    finally:
        _sweep(job, todo)


def _pool_chunks(store: FeatsStore, job: Job, todo: Sequence[Chunk]) -> Iterator[Chunk | None]:
    """Pool every chunk and yield each when it is done, after the None that run_chunks begins with.

    In this process: reading frames takes hundredths of the encoder's time.
    """
    yield None
    for chunk in todo:
        pool_chunk(store, job, chunk)
        yield chunk


def dump_inputs(
    utts: Sequence[Utterance], conf: dict, compress: bool, weights: str | None = None
) -> dict:
    """Everything the files depend on. The numbers of processes and of clips per batch do not.

    weights: Hash of the encoder's, if they are not its checkpoint's.
    """
    return {
        **describe(conf),
        **({} if weights is None else {"weights": weights}),
        "layers": dump_layers(conf),
        "format": "16 bit" if compress else "float32",
        "dump_version": DUMP_VERSION,
        "utts": len(utts),
        "ids": fingerprint.ids_hash(u.utt for u in utts),
        "audio": audio_hash(utts),
    }


def report(done: Iterable[Chunk | None], todo: Sequence[Chunk]) -> None:
    """Show progress, speed (seconds of audio per second) and time left.

    Args:
        done: From run_chunks. The clock starts at its first None: loading is no measure of speed.
        todo: All chunks that will come.
    """
    total, count = sum(chunk.sec for chunk in todo), sum(len(chunk.utts) for chunk in todo)
    terminal = sys.stderr.isatty()
    utts, sec, begun, logged = 0, 0.0, 0.0, 0.0
    with tqdm(total=round(total), unit="s audio", disable=not terminal) as bar:
        for chunk in done:
            now = time.monotonic()
            if chunk is None:
                if not begun:
                    begun = now
                    bar.reset()
                continue
            utts, sec = utts + len(chunk.utts), sec + chunk.sec
            bar.update(round(sec) - bar.n)
            rate = sec / (now - begun)
            if not terminal and now - max(logged, begun) > LOG_EVERY_SEC and utts < count:
                line = "%d of %d utterances, %.0f x real time, %.0f s left"
                logger.info(line, utts, count, rate, (total - sec) / rate)
                logged = now
    if utts:
        logger.info("%d utterances, %.0f s of audio, %.0f x real time", utts, sec, rate)


def _check_space(job: Job, todo: Sequence[Chunk]) -> None:
    rows, width = sum(chunk.sec for chunk in todo) * SAMPLE_RATE / job.conf["stride"], 1
    if job.pool:
        rows, width = sum(len(chunk.utts) for chunk in todo), len(job.pool)
    values = rows * width * job.conf["hidden_size"] * len(job.layers)
    needed = values * (2 if job.compress and not job.pool else 4) / 2**30
    free = shutil.disk_usage(job.out).free / 2**30
    if needed > free:
        raise SertlError(
            f"{job.out} needs {needed:.1f} GiB more, {free:.1f} GiB are free; make room, dump "
            "fewer layers (--layers), or to another disk (--out)"
        )
    logger.info("%s: %d layers, %.2f GiB to write", job.out, len(job.layers), needed)


def _sweep(job: Job, todo: Sequence[Chunk]) -> None:
    """Delete the unfinished temporary files of these chunks, of a run that was stopped."""
    numbers = {chunk.number for chunk in todo}
    for temporary in [*job.out.glob("layer*/.*.tmp*"), *job.out.glob("chunks/.*.tmp*")]:
        found = re.search(r"[0-9]+", temporary.name)
        if found and int(found[0]) in numbers:
            temporary.unlink(missing_ok=True)


def _join(job: Job, chunks: Sequence[Chunk]) -> None:
    """Write feats.scp of each layer, utt2num_frames and utt2num_samples."""
    frames: dict[str, tuple[int, int]] = {}
    for chunk in chunks:
        record = read_record(job, chunk)
        if record is None:
            raise SertlError(
                f"{job.out}: chunk {chunk.number} ({chunk.utts[0].utt} …) has vanished while the "
                "others were written; run stage 3 again"
            )
        frames |= record
    ids = [u.utt for chunk in chunks for u in chunk.utts]
    for layer in job.layers:
        parts = [f"{job.prefix(layer, chunk.number)}.scp" for chunk in chunks]
        merge_scp(parts, job.out / f"layer{layer}" / "feats.scp", ids)
    for place, name in enumerate(("utt2num_frames", "utt2num_samples")):
        write_table(job.out / name, {utt: str(n[place]) for utt, n in frames.items()})


def _tidy(job: Job, chunks: Sequence[Chunk]) -> None:
    """Delete what only a resume needs; the arks stay where feats.scp points."""
    for folder in ("chunks", FOLDER):
        shutil.rmtree(job.out / folder, ignore_errors=True)
    for layer in job.layers:
        for chunk in chunks:
            Path(f"{job.prefix(layer, chunk.number)}.scp").unlink(missing_ok=True)
