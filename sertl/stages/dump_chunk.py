# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A chunk of a dump: a few dozen utterances whose files appear together or not at all.

A chunk is what a worker takes at a time and what a killed run loses at most. Its arks are complete
before its record is written, and the record holds their sizes, so a chunk with a record and files
of these sizes is whole.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from sertl.atomic import write_json
from sertl.data.ark import ArkWriter
from sertl.data.audio import SAMPLE_RATE, read_audio
from sertl.data.batching import cut_by_duration
from sertl.data.datadir import Utterance
from sertl.data.feats import FeatsStore
from sertl.errors import SertlError
from sertl.nn.frame_statistics import pool_frames
from sertl.run_file import read_run_json
from sertl.schema.run_records import ChunkFile
from sertl.upstream.encoder import Upstream

logger = logging.getLogger(__name__)

CHUNK_UTTS = (10, 50)  # fewer in a small corpus, so that all workers have something to do
MIN_CHUNKS, MAX_CHUNKS = 40, 400  # aimed at; a chunk is two files per layer until the end
CHUNK_SEC = 300.0  # fewer utterances if they are long
DUR_TOLERANCE_SEC = 0.1  # utt2dur of other toolkits is rounded to a frame


@dataclass(frozen=True)
class Job:
    """What all chunks of a dump share.

    Attributes:
        conf: Upstream configuration.
        out: Folder of the dump.
        layers: Hidden states to write, ascending.
        compress: 16 bits per value instead of float32.
        batch_sec: Longest clip times number of clips in a forward pass, at most.
        pool: Statistics of the frames to write instead of them, a vector of each utterance.
        normalise: Layer-normalise every frame before it is pooled.
        resumed: An encoder will go on from the highest layer (Upstream.resume).
    """

    conf: dict
    out: Path
    layers: list[int]
    compress: bool
    batch_sec: float
    pool: tuple[str, ...] = ()
    normalise: bool = False
    resumed: bool = False

    def prefix(self, layer: int, number: int) -> Path:
        """Path without suffix of a layer's ark and scp of chunk number."""
        return self.out / f"layer{layer}" / f"feats.{number}"

    def record(self, number: int) -> Path:
        """The file that says that chunk number is whole."""
        return self.out / "chunks" / f"{number}.json"


@dataclass(frozen=True)
class Chunk:
    """Utterances of similar length, by number."""

    number: int
    utts: list[Utterance]

    @property
    def sec(self) -> float:
        """Seconds of audio."""
        return sum(u.dur_sec for u in self.utts)


def cut_chunks(utts: Iterable[Utterance], chunk_utts: int = 0) -> list[Chunk]:
    """Deal utterances into chunks, longest first; the same utterances give the same chunks.

    Longest first because the last chunks then are the quick ones, for which nobody waits long, and
    because too little memory shows at once.

    Args:
        utts: In any order.
        chunk_utts: Utterances per chunk; 0 chooses by the size of the corpus.
    """
    ordered = sorted(utts, key=lambda u: (-u.dur_sec, u.utt))
    low, high = CHUNK_UTTS
    count = len(ordered)
    most = chunk_utts or max(low, min(high, count // MIN_CHUNKS), count // MAX_CHUNKS)
    longest = max(CHUNK_SEC, sum(u.dur_sec for u in ordered) / MAX_CHUNKS)
    parts: list[list[Utterance]] = []
    sec = 0.0
    for utt in ordered:
        if not parts or len(parts[-1]) >= most or sec + utt.dur_sec > longest:
            parts.append([])
            sec = 0.0
        parts[-1].append(utt)
        sec += utt.dur_sec
    return [Chunk(number, part) for number, part in enumerate(parts)]


def dump_chunk(upstream: Upstream, device: torch.device, job: Job, chunk: Chunk) -> None:
    """Write the arks of a chunk, then its record.

    Raises:
        SertlError: Bad audio, too little memory, features that are not finite; naming the
            utterance and its file.
    """
    samples: dict[str, int] = {}
    _write_chunk(job, chunk, _encoded(upstream, device, job, chunk, samples), samples)


def pool_chunk(store: FeatsStore, job: Job, chunk: Chunk) -> None:
    """Write the arks of a chunk of vectors from frames that were dumped before, then its record."""
    read = ((utt, torch.from_numpy(store.read(utt.utt))) for utt in chunk.utts)
    samples = {utt.utt: store.num_samples.get(utt.utt, 0) for utt in chunk.utts}
    _write_chunk(job, chunk, read, samples)


def _encoded(
    upstream: Upstream, device: torch.device, job: Job, chunk: Chunk, samples: dict[str, int]
) -> Iterator[tuple[Utterance, list[torch.Tensor]]]:
    """Each utterance with its hidden states, L times (T, D); how many samples it has is noted."""
    durs = [u.dur_sec for u in chunk.utts]
    for indices in cut_by_duration(range(len(durs)), durs, job.batch_sec):
        utts = [chunk.utts[i] for i in indices]
        hidden, lens = _encode(upstream, device, job.layers, utts, samples)
        hidden = [states.float().cpu() for states in hidden]  # L x (B, T, D)
        for row, (utt, length) in enumerate(zip(utts, lens.tolist(), strict=True)):
            yield utt, [states[row, :length] for states in hidden]


def _write_chunk(
    job: Job,
    chunk: Chunk,
    found: Iterable[tuple[Utterance, Sequence[torch.Tensor]]],
    samples: dict[str, int],
) -> None:
    frames: dict[str, int] = {}
    with ExitStack() as stack:
        writers = [
            stack.enter_context(ArkWriter(job.prefix(layer, chunk.number), job.compress))
            for layer in job.layers
        ]
        for utt, layers in found:
            for writer, states in zip(writers, layers, strict=True):
                _write(writer, utt, _pooled(job, states) if job.pool else states)
            frames[utt.utt] = len(layers[0])
    sizes = {str(ark): ark.stat().st_size for ark in _arks(job, chunk.number)}
    record = {"num_frames": frames, "num_samples": samples, "bytes": sizes}
    write_json(job.record(chunk.number), record)


def _pooled(job: Job, states: torch.Tensor) -> torch.Tensor:
    """(T, D) -> (S * D,)."""
    if job.normalise:
        states = F.layer_norm(states, states.shape[-1:])
    return pool_frames(states, job.pool)


def read_record(job: Job, chunk: Chunk) -> dict[str, tuple[int, int]] | None:
    """Frames and samples of each utterance of a chunk; None if it is not there, or not whole."""
    path = job.record(chunk.number)
    try:
        record = read_run_json(path, ChunkFile, "it is made anew")
    except SertlError as error:  # there is none, or it was cut by a power failure
        if path.is_file():
            logger.warning("%s", error)
        return None
    frames, sizes = record["num_frames"], record["bytes"]
    samples = record.get("num_samples", {})  # older ones lack it: they are made anew
    arks = _arks(job, chunk.number)
    whole = (
        frames.keys() == samples.keys() == {u.utt for u in chunk.utts}
        and all(ark.is_file() and ark.stat().st_size == sizes.get(str(ark)) for ark in arks)
        and all(ark.with_name(f"feats.{chunk.number}.scp").is_file() for ark in arks)
    )
    return {utt: (n, samples[utt]) for utt, n in frames.items()} if whole else None


def _arks(job: Job, number: int) -> list[Path]:
    folders = [job.prefix(layer, number).parent for layer in job.layers]
    return [folder / f"feats.{number}.ark" for folder in folders]


def _encode(
    upstream: Upstream,
    device: torch.device,
    layers: Sequence[int],
    utts: Sequence[Utterance],
    samples: dict[str, int],
) -> tuple[list[torch.Tensor], torch.Tensor]:
    wavs = [torch.from_numpy(_read(utt)) for utt in utts]
    samples |= {utt.utt: len(wav) for utt, wav in zip(utts, wavs, strict=True)}
    wav_lens = torch.tensor([len(wav) for wav in wavs])
    batch = pad_sequence(wavs, batch_first=True).to(device)  # (B, N)
    try:
        with torch.no_grad():
            return upstream(batch, wav_lens.to(device), layers)
    except RuntimeError as error:
        names = ", ".join(f"{u.utt} ({u.wav}, {u.dur_sec:.1f} s)" for u in utts)
        if isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error):
            raise SertlError(
                f"not enough memory on {device} for the batch {names}; use a smaller --batch-sec "
                "(a single long clip: leave it out, or cut it)"
            ) from error
        logger.error("the upstream failed on the batch %s", names)
        raise


def _read(utt: Utterance):
    """(N,) float32 of an utterance, if the data directory still tells the truth about it."""
    wav = read_audio(utt.wav, utt.utt)
    sec = len(wav) / SAMPLE_RATE
    if abs(sec - utt.dur_sec) > DUR_TOLERANCE_SEC:
        raise SertlError(
            f"utterance {utt.utt}: {utt.wav} lasts {sec:.2f} s, but utt2dur says "
            f"{utt.dur_sec:.2f} s; the recording has changed since the data directory was made "
            "(run stage 1 again)"
        )
    return wav


def _write(writer: ArkWriter, utt: Utterance, states: torch.Tensor) -> None:
    try:
        writer.write(utt.utt, states.numpy())
    except SertlError as error:
        raise SertlError(f"{error} (audio: {utt.wav})") from error
