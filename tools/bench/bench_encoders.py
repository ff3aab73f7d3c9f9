# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Every family of encoders at its published size, random weights, float32, one thread.

  bench_encoders.py [ENCODER ...]

Parameters, ms per second of audio (four clips of about 4 s in one batch, all blocks), memory of the
process with the weights and at its peak (a batch with a clip of 30 s), and by how much a clip of
0.025 s beside one of 30 s differs from the clip alone.
"""

import argparse

from machine import measure, print_machine, print_table

BASE = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
}
LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}
BILLION = {
    "hidden_size": 1280,
    "num_hidden_layers": 48,
    "num_attention_heads": 16,
    "intermediate_size": 5120,
}
STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}


def whisper(size: int, blocks: int, heads: int, bins: int = 80) -> tuple[str, dict]:
    """A Whisper's encoder."""
    shape = {"d_model": size, "encoder_layers": blocks, "encoder_attention_heads": heads}
    return "whisper", {**shape, "encoder_ffn_dim": 4 * size, "num_mel_bins": bins}


def emotion2vec(size: int, blocks: int, heads: int) -> tuple[str, dict]:
    """emotion2vec's shape."""
    shape = {"channels": 512, "size": size, "heads": heads, "inner": 4 * size, "blocks": blocks}
    places = {"tokens": 10, "position_layers": 5, "position_groups": 16, "kernel": 19}
    return "emotion2vec", {**shape, **places, "eps": 1e-5}


ENCODERS = {
    "wav2vec2_base_960": ("wav2vec2", BASE),
    "xls_r_300m": ("wav2vec2", {**LARGE, **STABLE}),
    "xls_r_1b": ("wav2vec2", {**BILLION, **STABLE}),
    "mms_1b_all": ("wav2vec2", {**BILLION, **STABLE, "adapter_attn_dim": 16}),
    "hubert_base": ("hubert", BASE),
    "hubert_large_ll60k": ("hubert", {**LARGE, **STABLE}),
    "hubert_xlarge_ll60k": ("hubert", {**BILLION, **STABLE}),
    "wavlm_base_plus": ("wavlm", BASE),
    "wavlm_large": ("wavlm", {**LARGE, **STABLE, "conv_bias": False}),
    "unispeech_sat_large": ("unispeech-sat", {**LARGE, **STABLE}),
    "data2vec_base": ("data2vec-audio", BASE),
    "data2vec_large": ("data2vec-audio", LARGE),
    "wav2vec2_conformer_large": (
        "wav2vec2-conformer",
        {**LARGE, **STABLE, "position_embeddings_type": "relative"},
    ),
    "w2v_bert_2": ("wav2vec2-bert", {**LARGE, "position_embeddings_type": "relative_key"}),
    "sew (tiny)": (
        "sew",
        {**BASE, "hidden_size": 512, "num_attention_heads": 8, "intermediate_size": 2048},
    ),  # fmt: skip
    "eat_base": (
        "eat",
        {"size": 768, "heads": 12, "inner": 3072, "blocks": 12, "positions": 512, "eps": 1e-6},
    ),  # fmt: skip
    "emotion2vec_base": emotion2vec(768, 12, 12),
    "emotion2vec_plus_large": emotion2vec(1024, 24, 16),
    "whisper_tiny": whisper(384, 4, 6),
    "whisper_base": whisper(512, 6, 8),
    "whisper_small": whisper(768, 12, 12),
    "whisper_medium": whisper(1024, 24, 16),
    "whisper_large_v3": whisper(1280, 32, 20, bins=128),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "encoders", nargs="*", metavar="ENCODER", help="some of them (default: all)"
    )
    args = parser.parse_args()
    unknown = set(args.encoders) - set(ENCODERS)
    if unknown:
        parser.error(f"{sorted(unknown)}; expected some of {', '.join(ENCODERS)}")
    print_machine()
    rows = []
    for name in args.encoders or ENCODERS:
        family, shape = ENCODERS[name]
        found = measure("encoder_once.py", family=family, shape=shape)
        memory = f"{found['weights_gib']:.2f}, {found['peak_gib']:.2f}"
        figures = [f"{found['parameters']:.1f}", f"{found['ms_per_second']:.0f}", memory]
        rows.append([name, found["shape"], *figures, f"{found['batch_error']:.0e}"])
    head = ["encoder", "states, samples a frame", "parameters, M", "ms per s of audio"]
    print_table([*head, "GiB: weights, peak", "batch error"], rows)


if __name__ == "__main__":
    main()
