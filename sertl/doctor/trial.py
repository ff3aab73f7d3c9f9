# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Whether a checkpoint is what its configuration says, tried on one clip."""

import time
from collections.abc import Iterator
from pathlib import Path

from sertl.doctor.finding import NOTE, OK, PROBLEM, Finding

SECONDS = 3.0  # of noise, where no clip is given
CLOSE = 1e-3  # relative difference of a clip in a batch from the clip alone, in float32


def check_encoder(conf: dict, clip: Path | None = None) -> Iterator[Finding]:
    """Build an encoder, encode a clip alone and in a batch, put LoRA into it.

    Args:
        conf: From upstream.build.load_conf.
        clip: An audio file; None for noise.
    """
    import torch

    from sertl.data.audio import read_audio
    from sertl.errors import SertlError
    from sertl.upstream.build import build_upstream, describe

    try:
        facts = describe(conf)
        begun = time.monotonic()
        upstream = build_upstream(conf)
    except SertlError as error:
        yield Finding(PROBLEM, "checkpoint", str(error))
        return
    millions = sum(p.numel() for p in upstream.parameters()) / 1e6
    took = time.monotonic() - begun
    yield Finding(OK, "checkpoint", f"{facts['name']}, {facts['checkpoint'][:16]}, {took:.1f} s")
    shape = f"{upstream.num_layers} hidden states of {upstream.hidden_size}, one frame every "
    shape += f"{1000 * upstream.stride / upstream.sample_rate:g} ms, {millions:.1f} M parameters"
    yield Finding(OK, "shape", shape)
    noise = torch.randn(int(SECONDS * 16000), generator=torch.Generator().manual_seed(0))
    wav = 0.1 * noise if clip is None else torch.from_numpy(read_audio(str(clip)))
    begun = time.monotonic()
    hidden, frames = upstream(wav[None], torch.tensor([len(wav)]))
    rate = (time.monotonic() - begun) / (len(wav) / 16000)
    finite = all(bool(states.isfinite().all()) for states in hidden)
    words = f"{int(frames[0])} frames of {len(wav) / 16000:.2f} s, {1000 * rate:.0f} ms per second"
    yield (
        Finding(OK, "one clip", words)
        if finite
        else Finding(PROBLEM, "one clip", f"{words}; hidden states are not finite")
    )
    yield _in_a_batch(upstream, wav, hidden[-1][0])
    yield _with_lora(upstream)


def _in_a_batch(upstream, wav, alone) -> Finding:
    """The clip beside one of half its length: what it gives by itself."""
    import torch

    half = max(1, len(wav) // 2)
    batch = torch.stack([wav, torch.cat([wav[:half], torch.full((len(wav) - half,), 9.0)])])
    hidden, frames = upstream(batch, torch.tensor([len(wav), half]), [upstream.num_layers - 1])
    short, _ = upstream(wav[None, :half], torch.tensor([half]), [upstream.num_layers - 1])
    pairs = (hidden[0][0], alone), (hidden[0][1, : frames[1]], short[0][0])
    worst = max(float((a - b).norm() / b.norm().clamp_min(1e-9)) for a, b in pairs)
    words = f"differs from the clip alone by {worst:.1e} (relative)"
    if worst > CLOSE and not upstream.bf16:
        return Finding(PROBLEM, "in a batch", words)
    return Finding(OK, "in a batch", words)


def _with_lora(upstream) -> Finding:
    """LoRA in every block acts and learns."""
    from sertl.errors import SertlError
    from sertl.peft.effect_check import effect_check, states_before
    from sertl.peft.inject import inject

    layers = [upstream.num_layers - 1]
    try:
        upstream.blocks()
    except SertlError:
        return Finding(NOTE, "LoRA", "the inside of this encoder is not known: only frozen use")
    before = states_before(upstream, layers[0])
    lora = {"rank": 1, "alpha": 1, "targets": ["q", "k", "v", "out", "ffn"]}
    inject(upstream, {"lora": lora})
    try:
        effect_check(upstream, layers, before)
    except SertlError as error:
        return Finding(PROBLEM, "LoRA", str(error))
    return Finding(OK, "LoRA", "acts and learns in every block")
