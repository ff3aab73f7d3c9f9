# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What the tests of upstreams share beside fixtures."""

from pathlib import Path

from sertl.upstream.build import build_upstream, load_conf
from sertl.upstream.s3prl import build_s3prl
from sertl.upstream.whisper import build_whisper

CONF_DIR = Path(__file__).resolve().parents[1] / "conf" / "upstream"

# 300 and 700: shorter than the 800 samples that S3PRL pads to. 1121: three convolution frames and
# an odd number of mel frames. 16001: two frames more by the frame rule than the convolutions give.
# Two clips are equally long.
LENGTHS = [16000, 24123, 300, 16001, 700, 1121, 16000]


def relative(a, b):
    """Relative error of a against b."""
    return float((a - b).detach().norm() / b.detach().norm())


# A tiny checkpoint (upstream/tiny.py) of each family -> its S3PRL entry or conf; None for Whisper
NAMES = {
    "hubert_base.pt": "hubert_local",
    "hubert_large.pt": "hubert_local",
    "wav2vec2_large.pt": "wav2vec2_local",
    "data2vec_large.pt": "data2vec_local",
    "wavlm_base.pt": "wavlm_local",
    "hf_hubert_base": "hf_hubert_custom",
    "hf_wav2vec2_large": "hf_wav2vec2_custom",
    "hf_wavlm_large": "hf_wavlm_custom",
    "hf_data2vec-audio_base": "hf_data2vec-audio_custom",
    "hf_sew_base": "hf_sew_custom",
    "hf_wav2vec2-conformer_base": "hf_wav2vec2-conformer_custom",
    "hf_wav2vec2-conformer_large": "hf_wav2vec2-conformer_custom",
    "hf_wav2vec2-bert_base": "hf_wav2vec2-bert_custom",
    "whisper": None,
    "emotion2vec": "tiny_emotion2vec",
    "eat": "tiny_eat",
}


def build(tiny, file, **options):
    """The upstream of a file in NAMES."""
    return build_named(NAMES[file], tiny / file, **options)


def build_named(name, ckpt, **options):
    """The upstream of a checkpoint and what NAMES has for its kind."""
    if name is None:
        return build_whisper(ckpt, **options)
    if name.startswith("tiny_"):
        return build_upstream(load_conf(name, CONF_DIR, {"ckpt": str(ckpt), **options}))
    return build_s3prl(name, ckpt, {}, **options)
