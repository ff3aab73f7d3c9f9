# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Things that sertl does with the packages, done once in small: audio, upstreams, speech."""

import ctypes
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from sertl.doctor.finding import INSTALL, OK, PROBLEM, WARNING, Finding, reason

FAMILIES = (  # name, function of upstream.tiny, S3PRL entry ("" for Whisper)
    ("S3PRL filter-banks", None, "fbank"),
    ("S3PRL HuBERT", "save_hubert", "hubert_local"),
    ("S3PRL wav2vec 2.0", "save_wav2vec2", "wav2vec2_local"),
    ("S3PRL data2vec", "save_data2vec", "data2vec_local"),
    ("S3PRL WavLM", "save_wavlm", "wavlm_local"),
    ("Hugging Face HuBERT", "save_hf", "hf_hubert_custom"),
    ("Hugging Face wav2vec 2.0", "save_hf", "hf_wav2vec2_custom"),
    ("Hugging Face w2v-BERT 2.0", "save_hf", "hf_wav2vec2-bert_custom"),
    ("Whisper", "save_whisper", ""),
)


def audio() -> Iterator[Finding]:
    """libsndfile decodes what it encodes."""
    from io import BytesIO

    import numpy as np
    import soundfile

    wave = np.linspace(-0.5, 0.5, 1600)
    for form in ("WAV", "FLAC"):
        stream = BytesIO()
        soundfile.write(stream, wave, 16000, format=form)
        stream.seek(0)
        again, rate = soundfile.read(stream)
        good = rate == 16000 and len(again) == 1600 and np.abs(again - wave).max() < 1e-3
        text = f"libsndfile {soundfile.__libsndfile_version__}, {form} written and read"
        yield (
            Finding(OK, "audio", text)
            if good
            else Finding(
                PROBLEM, "audio", f"{text}, but not what was written; pip install -U soundfile"
            )
        )


def upstreams() -> Iterator[Finding]:
    """Build a tiny random encoder of each family and let it encode half a second of noise."""
    for name, save, entry in FAMILIES:
        topic = f"upstream {name}"
        with tempfile.TemporaryDirectory() as folder:
            try:
                yield Finding(OK, topic, _run_upstream(save, entry, Path(folder) / "ckpt"))
            except Exception as error:  # third-party code: whatever it raises is the finding
                yield Finding(PROBLEM, topic, f"does not run ({reason(error)}); {INSTALL}")


def _run_upstream(save: str | None, entry: str, ckpt: Path) -> str:
    import torch

    from sertl.upstream import tiny
    from sertl.upstream.s3prl import build_s3prl
    from sertl.upstream.side_effects import quiet
    from sertl.upstream.whisper import build_whisper

    with quiet():
        if save == "save_hf":
            tiny.save_hf(ckpt, entry.removeprefix("hf_").removesuffix("_custom"))
        elif save is not None:
            getattr(tiny, save)(ckpt)
        upstream = build_whisper(ckpt) if not entry else build_s3prl(entry, save and str(ckpt), {})
        noise = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
        hidden, lens = upstream(noise, torch.tensor([8000]))
    if not all(torch.isfinite(states).all() for states in hidden):
        raise ValueError("its hidden states are not finite")
    return f"builds and runs: {int(lens[0])} frames for 0.5 s"


def espeak(load: Callable[[str], ctypes.CDLL] = ctypes.CDLL) -> Iterator[Finding]:
    """eSpeak NG, whose voices speak the corpus of egs/mini."""
    try:
        import espeakng_loader

        library = load(espeakng_loader.get_library_path())
        synchronous = 2  # AUDIO_OUTPUT_SYNCHRONOUS of its speak_lib.h
        rate = library.espeak_Initialize(
            synchronous, 0, espeakng_loader.get_data_path().encode(), 0
        )
    except (ImportError, OSError) as error:
        text = f"does not load ({reason(error)}); only egs/mini needs it: pip install 'sertl[mini]'"
        yield Finding(WARNING, "eSpeak NG", text)
        return
    if rate <= 0:
        text = "loads but does not start; only egs/mini needs it: reinstall espeakng-loader"
        yield Finding(WARNING, "eSpeak NG", text)
    else:
        library.espeak_Info.restype = ctypes.c_char_p
        yield Finding(OK, "eSpeak NG", library.espeak_Info(None).decode())
