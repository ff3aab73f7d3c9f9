# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A frozen encoder through torch.compile: what it costs to compile comes back in long dumps."""

import logging
import os
import shutil
from collections.abc import Sequence

import torch

from sertl.errors import SertlError
from sertl.upstream.encoder import Upstream

logger = logging.getLogger(__name__)

# Weights as constants, which are brought into the order that products want; no further processes.
OPTIONS = {"freezing": True, "compile_threads": 1}


# Clips whose batches lead to all graphs: some, of several lengths and of one, and one alone.
BATCHES = ((16000, 12000, 16000), (16000, 16000), (16000,))


def compile_encoder(
    upstream: Upstream,
    layers: Sequence[int],
    device: torch.device | str = "cpu",
    backend: str = "inductor",
) -> None:
    """Compile the costly parts of an encoder, in place.

    Hidden states stay the same but for rounding. The encoder must stay frozen from now on: a change
    of its weights is not seen.

    Args:
        upstream: On the device.
        layers: Hidden states that will be asked for; others are compiled when they are.
        device: A CPU.
        backend: Of torch.compile.

    Raises:
        SertlError: Another device, a kind of encoder whose parts do not fit, or no C++ compiler.
    """
    if torch.device(device).type != "cpu":
        raise SertlError("upstream.compile is for the CPU; leave it out with --ngpu")
    if not upstream.compilable:
        raise SertlError(
            f"upstream.compile: this kind of encoder ({type(upstream).__name__}) cannot be "
            "compiled; leave it out"
        )
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise SertlError(
            f"upstream.compile needs a C++ compiler, and there is no {compiler}: install one, name "
            "another by CXX, or leave it out"
        )
    logger.info("compiling the encoder, which takes minutes the first time")
    options = OPTIONS if backend == "inductor" else None
    for name in upstream.compilable:
        part = torch.compile(
            getattr(upstream, name), fullgraph=True, dynamic=True, backend=backend, options=options
        )
        setattr(upstream, name, part)
    for lengths in BATCHES:
        wavs = 0.1 * torch.randn(len(lengths), max(lengths), generator=torch.Generator())
        with torch.no_grad():
            upstream(wavs, torch.tensor(lengths), layers)
